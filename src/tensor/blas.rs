//! Which BLAS stands behind ndarray's products, and how many threads it may use.

/// The name of the BLAS this build was linked with, for reports.
pub const NAME: &str = if cfg!(feature = "blis") {
    "BLIS"
} else if cfg!(feature = "lapack-system") {
    "OpenBLAS with LAPACK"
} else if cfg!(feature = "openblas-system") {
    "OpenBLAS"
} else if cfg!(feature = "accelerate") {
    "Accelerate"
} else {
    "none (matrixmultiply)"
};

// Without a mention the linker leaves the library out, and ndarray's calls find nothing.
#[cfg(feature = "_blas")]
extern crate blas_src as _;

/// Keeps the BLAS on the thread that calls it; our own threads share the work.
#[cfg(feature = "parallel")]
pub(crate) fn use_calling_thread_only() {
    #[cfg(any(feature = "openblas-system", feature = "blis"))]
    {
        use std::sync::Once;
        #[cfg(feature = "openblas-system")]
        unsafe extern "C" {
            #[link_name = "openblas_set_num_threads"]
            fn set_num_threads(threads: std::ffi::c_int);
        }
        #[cfg(feature = "blis")]
        unsafe extern "C" {
            #[link_name = "bli_thread_set_num_threads"]
            fn set_num_threads(threads: i64);
        }
        static ONCE: Once = Once::new();
        // SAFETY: both libraries export this function with this signature, and it may be called from any thread.
        ONCE.call_once(|| unsafe { set_num_threads(1) });
    }
}
