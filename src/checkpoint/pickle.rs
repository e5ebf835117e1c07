//! The pickle of a torch state dict, read and never executed.
//!
//! A pickle is a program for a stack machine that may call any function of the machine it is loaded on. A state dict needs very
//! few of its instructions, two constructors and the names of storages; these are followed here, and everything else is refused
//! by name.
//!
//! Values live in flat lists and refer to each other by index, so that a pickle that nests or repeats without end costs no more
//! memory than a few times its own length.

use std::collections::HashMap;
use thiserror::Error;

/// A pickle that is no state dict.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PickleError {
    /// It ends before its STOP.
    #[error("the pickle ends in the middle, at byte {0}: the file is truncated or corrupted")]
    Truncated(usize),
    /// It asks for a function or class.
    #[error("the pickle asks for `{0}`, which a state dict never needs; refused")]
    Global(String),
    /// It uses an instruction that is not followed.
    #[error(
        "the pickle uses instruction {opcode:#04x} at byte {at}, which a state dict of tensors never needs; refused"
    )]
    Opcode {
        /// The instruction.
        opcode: u8,
        /// Where it stands.
        at: usize,
    },
    /// An instruction found other values than it works on.
    #[error("the pickle has no {expected} where byte {at} needs one: it is corrupted")]
    Expected {
        /// What was needed.
        expected: &'static str,
        /// Where.
        at: usize,
    },
    /// The result is not a dictionary from names to tensors.
    #[error("the pickle holds {0}; save the model's state_dict() alone")]
    NotAStateDict(String),
    /// A name that occurs twice.
    #[error("the tensor `{0}` is there twice")]
    Duplicate(String),
}

/// A tensor as the pickle describes it: a window on a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described<'a> {
    pub storage: Storage<'a>,
    /// In elements.
    pub offset: usize,
    pub shape: Vec<usize>,
    /// In elements.
    pub stride: Vec<usize>,
}

/// Numbers of one format, in a file of their own inside the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    /// The name of the class, `FloatStorage`.
    pub class: &'a str,
    /// The name of the file, `data/{key}`.
    pub key: &'a str,
}

#[derive(Clone, Copy, Debug)]
enum Global<'a> {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(&'a str),
}

#[derive(Clone, Copy, Debug)]
enum Value<'a> {
    Mark,
    None,
    Bool,
    Int(i64),
    Str(&'a str),
    Global(Global<'a>),
    Storage(Storage<'a>),
    /// Indices into the lists of the [`Machine`].
    Tuple(usize),
    Dict(usize),
    Tensor(usize),
}

impl Value<'_> {
    fn kind(self) -> &'static str {
        match self {
            Value::Mark => "a mark",
            Value::None => "None",
            Value::Bool => "a bool",
            Value::Int(_) => "an int",
            Value::Str(_) => "a string",
            Value::Global(_) => "a class or function",
            Value::Storage(_) => "a storage",
            Value::Tuple(_) => "a tuple",
            Value::Dict(_) => "a dictionary",
            Value::Tensor(_) => "a tensor",
        }
    }
}

/// The tensors that a state dict describes, in its order.
pub(super) fn read_state_dict(pickle: &[u8]) -> Result<Vec<(&str, Described<'_>)>, PickleError> {
    let mut machine = Machine::new(pickle);
    let Value::Dict(state_dict) = machine.run()? else {
        return Err(PickleError::NotAStateDict("no dictionary".into()));
    };
    let entries = std::mem::take(&mut machine.dicts[state_dict]);
    let mut names = std::collections::HashSet::new();
    let mut tensors = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let Value::Str(name) = key else {
            return Err(PickleError::NotAStateDict(format!(
                "{} as a name",
                key.kind()
            )));
        };
        let Value::Tensor(i) = value else {
            return Err(PickleError::NotAStateDict(format!(
                "{} as `{name}`",
                value.kind()
            )));
        };
        if !names.insert(name) {
            return Err(PickleError::Duplicate(name.to_owned()));
        }
        tensors.push((name, machine.tensors[i].clone()));
    }
    Ok(tensors)
}

/// No parameter has more than two.
const MOST_AXES: usize = 8;

struct Machine<'a> {
    pickle: &'a [u8],
    at: usize,
    stack: Vec<Value<'a>>,
    memo: HashMap<u32, Value<'a>>,
    tuples: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    tensors: Vec<Described<'a>>,
}

impl<'a> Machine<'a> {
    fn new(pickle: &'a [u8]) -> Self {
        Machine {
            pickle,
            at: 0,
            stack: vec![],
            memo: HashMap::new(),
            tuples: vec![],
            dicts: vec![],
            tensors: vec![],
        }
    }

    /// Follows instructions until STOP; the names are those of Python's `pickletools`.
    fn run(&mut self) -> Result<Value<'a>, PickleError> {
        loop {
            let at = self.at;
            let [opcode] = self.array()?;
            match opcode {
                b'.' => return self.pop(),                   // STOP
                0x80 => drop(self.array::<1>()?),            // PROTO
                0x95 => drop(self.array::<8>()?),            // FRAME
                b'(' => self.stack.push(Value::Mark),        // MARK
                b'N' => self.stack.push(Value::None),        // NONE
                0x88 | 0x89 => self.stack.push(Value::Bool), // NEWTRUE, NEWFALSE
                b'K' => self.push_int(1)?,                   // BININT1
                b'M' => self.push_int(2)?,                   // BININT2
                b'J' => {
                    let int = i32::from_le_bytes(self.array()?); // BININT
                    self.stack.push(Value::Int(int.into()));
                }
                0x8a => {
                    let [length] = self.array()?; // LONG1, whose last bit is the sign
                    self.push_int(length.into())?;
                    if length > 0 && self.pickle[self.at - 1] >= 0x80 {
                        return Err(self.expected("number of 0 or more"));
                    }
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?); // BINUNICODE
                    self.push_str(length as usize)?;
                }
                0x8c => {
                    let [length] = self.array()?; // SHORT_BINUNICODE
                    self.push_str(length.into())?;
                }
                b'q' => {
                    let [index] = self.array()?; // BINPUT
                    self.put(index.into())?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?); // LONG_BINPUT
                    self.put(index)?;
                }
                0x94 => self.put(self.memo.len() as u32)?, // MEMOIZE
                b'h' => {
                    let [index] = self.array()?; // BINGET
                    self.get(index.into())?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?); // LONG_BINGET
                    self.get(index)?;
                }
                b')' => self.push_tuple(vec![]), // EMPTY_TUPLE
                0x85..=0x87 => {
                    let first = self.stack.len().checked_sub(usize::from(opcode - 0x84)); // TUPLE1, 2, 3
                    let items = first.map(|first| self.stack.split_off(first));
                    self.push_tuple(items.ok_or_else(|| self.expected("tuple's items"))?);
                }
                b't' => {
                    let items = self.pop_to_mark()?; // TUPLE
                    self.push_tuple(items);
                }
                b'}' => self.push_dict(), // EMPTY_DICT
                b's' => {
                    let value = self.pop()?; // SETITEM
                    let key = self.pop()?;
                    self.top_dict()?.push((key, value));
                }
                b'u' => {
                    let items = self.pop_to_mark()?; // SETITEMS
                    let (pairs, rest) = items.as_chunks::<2>();
                    if !rest.is_empty() {
                        return Err(self.expected("value for each key"));
                    }
                    let dict = self.top_dict()?;
                    dict.extend(pairs.iter().map(|&[key, value]| (key, value)));
                }
                b'c' => {
                    let module = self.line()?; // GLOBAL
                    let name = self.line()?;
                    self.push_global(module, name)?;
                }
                0x93 => {
                    let name = self.pop_str()?; // STACK_GLOBAL
                    let module = self.pop_str()?;
                    self.push_global(module, name)?;
                }
                b'Q' => self.storage()?, // BINPERSID
                b'R' => self.reduce()?,  // REDUCE
                b'b' => {
                    self.pop()?; // BUILD: a state dict's `_metadata`, the versions of its modules
                    self.top_dict()?;
                }
                opcode => return Err(PickleError::Opcode { opcode, at }),
            }
        }
    }

    /// Calls one of the constructors that are known.
    fn reduce(&mut self) -> Result<(), PickleError> {
        let arguments = self.pop_tuple("tuple of arguments")?;
        let function = self.pop()?;
        match (function, arguments.as_slice()) {
            (Value::Global(Global::OrderedDict), []) => self.push_dict(),
            (
                Value::Global(Global::RebuildTensor),
                &[
                    Value::Storage(storage),
                    Value::Int(offset),
                    Value::Tuple(shape),
                    Value::Tuple(stride),
                    ..,
                ],
            ) => {
                let offset = self.length(Value::Int(offset))?;
                let shape = self.lengths(shape)?;
                let stride = self.lengths(stride)?;
                if shape.len() != stride.len() {
                    return Err(self.expected("stride for each axis"));
                }
                self.stack.push(Value::Tensor(self.tensors.len()));
                self.tensors.push(Described {
                    storage,
                    offset,
                    shape,
                    stride,
                });
            }
            (Value::Global(Global::RebuildParameter), &[tensor @ Value::Tensor(_), ..]) => {
                self.stack.push(tensor);
            }
            _ => return Err(self.expected("call that a state dict makes")),
        }
        Ok(())
    }

    /// `("storage", class, key, device, elements)`.
    fn storage(&mut self) -> Result<(), PickleError> {
        let id = self.pop_tuple("storage's description")?;
        let &[
            Value::Str("storage"),
            Value::Global(Global::Storage(class)),
            Value::Str(key),
            ..,
        ] = id.as_slice()
        else {
            return Err(self.expected("storage's description"));
        };
        self.stack.push(Value::Storage(Storage { class, key }));
        Ok(())
    }

    fn push_global(&mut self, module: &'a str, name: &'a str) -> Result<(), PickleError> {
        let global = match (module, name) {
            ("collections", "OrderedDict") => Global::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Global::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Global::RebuildParameter,
            (
                "torch",
                "FloatStorage" | "HalfStorage" | "BFloat16Storage" | "DoubleStorage"
                | "LongStorage" | "IntStorage" | "ShortStorage" | "CharStorage" | "ByteStorage"
                | "BoolStorage",
            ) => Global::Storage(name),
            _ => return Err(PickleError::Global(format!("{module}.{name}"))),
        };
        self.stack.push(Value::Global(global));
        Ok(())
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], PickleError> {
        let taken = self
            .pickle
            .get(self.at..)
            .and_then(|rest| rest.get(..length));
        let taken = taken.ok_or(PickleError::Truncated(self.at))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let at = self.at;
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| PickleError::Truncated(at))
    }

    fn line(&mut self) -> Result<&'a str, PickleError> {
        let rest = self.pickle.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&b| b == b'\n');
        let line = self.take(length.ok_or(PickleError::Truncated(self.at))?)?;
        self.at += 1;
        str::from_utf8(line).map_err(|_| self.expected("UTF-8 name"))
    }

    fn push_str(&mut self, length: usize) -> Result<(), PickleError> {
        let bytes = self.take(length)?;
        let text = str::from_utf8(bytes).map_err(|_| self.expected("UTF-8 string"))?;
        self.stack.push(Value::Str(text));
        Ok(())
    }

    /// A number of so many little-endian bytes. Nothing in a state dict is below 0.
    fn push_int(&mut self, bytes: usize) -> Result<(), PickleError> {
        let bytes = self.take(bytes)?;
        let mut int = [0; 8];
        let low = int.get_mut(..bytes.len());
        low.ok_or_else(|| self.expected("number of at most 64 bits"))?
            .copy_from_slice(bytes);
        self.stack.push(Value::Int(i64::from_le_bytes(int)));
        Ok(())
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        self.stack.push(Value::Tuple(self.tuples.len()));
        self.tuples.push(items);
    }

    fn push_dict(&mut self) {
        self.stack.push(Value::Dict(self.dicts.len()));
        self.dicts.push(vec![]);
    }

    fn put(&mut self, index: u32) -> Result<(), PickleError> {
        let top = *self.stack.last().ok_or_else(|| self.expected("value"))?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get(&mut self, index: u32) -> Result<(), PickleError> {
        let value = self.memo.get(&index).copied();
        self.stack
            .push(value.ok_or_else(|| self.expected("value in the memo"))?);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value<'a>, PickleError> {
        self.stack.pop().ok_or_else(|| self.expected("value"))
    }

    fn pop_str(&mut self) -> Result<&'a str, PickleError> {
        match self.pop()? {
            Value::Str(text) => Ok(text),
            _ => Err(self.expected("string")),
        }
    }

    fn pop_tuple(&mut self, expected: &'static str) -> Result<Vec<Value<'a>>, PickleError> {
        match self.pop()? {
            // No more than any call looks at: the memo may offer one huge tuple to a million calls.
            Value::Tuple(i) => Ok(self.tuples[i].iter().take(8).copied().collect()),
            _ => Err(self.expected(expected)),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark));
        let items = self
            .stack
            .split_off(mark.ok_or_else(|| self.expected("mark"))? + 1);
        self.stack.pop();
        Ok(items)
    }

    fn top_dict(&mut self) -> Result<&mut Vec<(Value<'a>, Value<'a>)>, PickleError> {
        match self.stack.last() {
            Some(&Value::Dict(i)) => Ok(&mut self.dicts[i]),
            _ => Err(self.expected("dictionary")),
        }
    }

    fn length(&self, value: Value) -> Result<usize, PickleError> {
        match value {
            Value::Int(int) => {
                usize::try_from(int).map_err(|_| self.expected("length of 0 or more"))
            }
            _ => Err(self.expected("length")),
        }
    }

    fn lengths(&self, tuple: usize) -> Result<Vec<usize>, PickleError> {
        let items = &self.tuples[tuple];
        if items.len() > MOST_AXES {
            return Err(self.expected("shape of at most eight axes"));
        }
        items.iter().map(|&v| self.length(v)).collect()
    }

    fn expected(&self, expected: &'static str) -> PickleError {
        PickleError::Expected {
            expected,
            at: self.at,
        }
    }
}
