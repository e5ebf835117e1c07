//! Files as pages of memory, and what becomes of those who read them when a file is cut.

use memmap2::Mmap;
use std::{fs::File, io, path::Path};

/// What is done where a mapped file has become shorter under its readers, and a page behind its new end is read.
///
/// A system ends the program then, without a word (`SIGBUS`); that is so until [`when_cut`] is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenCut {
    /// The program ends with exit code 1, and says which file it was.
    End,
    /// From the page on that was read, this mapping holds zeros for good. It is for programs that look themselves whether a file was changed, after every
    /// pass over it.
    ReadZeros,
}

/// Chooses what is done where a mapped file is cut; the last choice counts, for all checkpoints of the process.
///
/// Does nothing on systems other than Unix (Windows lets nobody cut a file that is mapped).
pub fn when_cut(then: WhenCut) {
    #[cfg(unix)]
    signal::install(then);
    #[cfg(not(unix))]
    let _ = then;
}

/// The pages of a file.
pub(super) struct Mapped {
    map: Mmap,
    #[cfg(unix)]
    known: &'static signal::Known,
}

impl Mapped {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: the pages are only read. That nobody changes the file meanwhile is asked of the caller, in `Checkpoint::open`.
        let map = unsafe { Mmap::map(&file) }?;
        Ok(Mapped {
            #[cfg(unix)]
            known: signal::Known::new(&map, path),
            map,
        })
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(unix)]
impl Drop for Mapped {
    fn drop(&mut self) {
        self.known.forget();
    }
}

#[cfg(unix)]
mod signal {
    use super::WhenCut;
    use std::{
        mem::zeroed,
        path::Path,
        ptr::null_mut,
        sync::{
            Once,
            atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering},
        },
    };

    /// Where a mapping lies, for a signal's handler, which may neither lock nor allocate: so these stay in a list for good, some hundred bytes for each file
    /// that was ever mapped.
    pub struct Known {
        start: AtomicUsize,
        end: AtomicUsize,
        message: Box<[u8]>,
        next: *const Known,
    }

    // SAFETY: `next` is set before others see it, and points to what is never freed.
    unsafe impl Sync for Known {}

    static NEWEST: AtomicPtr<Known> = AtomicPtr::new(null_mut());
    static READ_ZEROS: AtomicBool = AtomicBool::new(false);
    static PAGE: AtomicUsize = AtomicUsize::new(0);
    static BEFORE: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());

    impl Known {
        pub fn new(map: &[u8], path: &Path) -> &'static Known {
            let path = path.display();
            let message = format!(
                "error: {path} was cut while it was read; run this again when it is whole\n"
            );
            let mut known = Box::new(Known {
                start: AtomicUsize::new(map.as_ptr().addr()),
                end: AtomicUsize::new(map.as_ptr().addr() + map.len()),
                message: message.into_bytes().into(),
                next: NEWEST.load(Ordering::Acquire),
            });
            // Another thread may add one meanwhile.
            let pointer: *mut Known = &mut *known;
            while let Err(newer) = NEWEST.compare_exchange(
                known.next.cast_mut(),
                pointer,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                known.next = newer;
            }
            Box::leak(known)
        }

        /// To be called before it is unmapped.
        pub fn forget(&self) {
            self.end.store(0, Ordering::Release);
        }

        /// The mapping that holds an address.
        fn with(address: usize) -> Option<&'static Known> {
            let mut next: *const Known = NEWEST.load(Ordering::Acquire);
            // SAFETY: it is null or a leaked box, as are all that follow.
            while let Some(known) = unsafe { next.as_ref() } {
                let end = known.end.load(Ordering::Acquire);
                if (known.start.load(Ordering::Acquire)..end).contains(&address) {
                    return Some(known);
                }
                next = known.next;
            }
            None
        }
    }

    pub fn install(then: WhenCut) {
        static INSTALLED: Once = Once::new();
        READ_ZEROS.store(then == WhenCut::ReadZeros, Ordering::Release);
        INSTALLED.call_once(|| {
            // SAFETY: `sysconf` may be called at any time; the structures are filled before they are read; the handler keeps to what a handler may call.
            unsafe {
                PAGE.store(
                    libc::sysconf(libc::_SC_PAGESIZE) as usize,
                    Ordering::Release,
                );
                let before: &mut libc::sigaction = Box::leak(Box::new(zeroed()));
                let mut ours: libc::sigaction = zeroed();
                ours.sa_sigaction = on_signal as *const () as usize;
                ours.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
                libc::sigemptyset(&mut ours.sa_mask);
                libc::sigaction(libc::SIGBUS, &ours, before);
                BEFORE.store(before, Ordering::Release);
            }
        });
    }

    extern "C" fn on_signal(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        // SAFETY: the system gives a handler with SA_SIGINFO its `info`. `write`, `_exit`, `mmap` and `sigaction` neither lock nor allocate; the pages that are
        // replaced belong to a mapping that is being read, and nobody else's.
        unsafe {
            let address = (*info).si_addr().addr();
            if let Some(known) = Known::with(address) {
                if !READ_ZEROS.load(Ordering::Acquire) {
                    libc::write(2, known.message.as_ptr().cast(), known.message.len());
                    libc::_exit(1);
                }
                let page = address & !(PAGE.load(Ordering::Acquire) - 1);
                let len = known.end.load(Ordering::Acquire).saturating_sub(page);
                let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANON;
                let zeros = libc::mmap(page as *mut _, len, libc::PROT_READ, flags, -1, 0);
                if zeros != libc::MAP_FAILED {
                    return;
                }
            }
            // Not ours: what failed is tried again, and met by the handler that was there before.
            libc::sigaction(libc::SIGBUS, BEFORE.load(Ordering::Acquire), null_mut());
        }
    }
}
