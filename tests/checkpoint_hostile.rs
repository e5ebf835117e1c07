//! Files that want to do harm, or are broken: refused by name, never a panic, never memory beyond their own size.
#![cfg(feature = "files")]

use baichuan2::checkpoint::{
    Checkpoint, PickleError, TorchError, read_config, read_generation_config, read_safetensors,
    read_torch,
};
use proptest::{prelude::*, sample::Index};
use rawzip::{CompressionMethod, ZipArchiveWriter};
use std::{fs, io::Write, sync::LazyLock};

#[path = "common/checkpoint.rs"]
mod common;
use common::golden;

static SAFETENSORS: LazyLock<Vec<u8>> =
    LazyLock::new(|| fs::read(golden("tiny7b/model.safetensors")).unwrap());
static TORCH: LazyLock<Vec<u8>> =
    LazyLock::new(|| fs::read(golden("tiny7b/sharded/pytorch_model-00005-of-00006.bin")).unwrap());

/// A torch file with this pickle and these entries.
fn torch_file(pickle: &[u8], entries: &[(&str, CompressionMethod, &[u8])]) -> Vec<u8> {
    let mut archive = ZipArchiveWriter::new(Vec::new());
    let stored = CompressionMethod::STORE;
    let all = [("data.pkl", stored, pickle)].into_iter();
    for (name, method, bytes) in all.chain(entries.iter().copied()) {
        let path = format!("archive/{name}");
        let file = archive.new_file(path.as_str()).compression_method(method);
        let (mut entry, config) = file.start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(bytes).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap()
}

/// The instructions that build one tensor `w` over storage `0`: a short pickle to break.
fn pickle(class: &str, offset: u8, shape: [u8; 2], stride: [u8; 2]) -> Vec<u8> {
    let mut p =
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
            .to_vec();
    p.extend(class.as_bytes());
    p.extend(b"\nX\x01\0\0\x000X\x03\0\0\0cpuK\x06tQ");
    p.extend([b'K', offset, b'K', shape[0], b'K', shape[1], 0x86]);
    p.extend([b'K', stride[0], b'K', stride[1], 0x86, 0x89]);
    p.extend(b"ccollections\nOrderedDict\n)RtRs.");
    p
}

fn six_floats() -> Vec<u8> {
    (0..6_u8).flat_map(|i| f32::from(i).to_le_bytes()).collect()
}

fn of_six_floats(pickle: &[u8]) -> Result<baichuan2::checkpoint::NamedTensors, TorchError> {
    let entries = [("data/0", CompressionMethod::STORE, &*six_floats())];
    read_torch(torch_file(pickle, &entries).into())
}

fn pickle_error(pickle: &[u8]) -> PickleError {
    match of_six_floats(pickle).unwrap_err() {
        TorchError::Pickle(error) => error,
        other => panic!("{other}"),
    }
}

/// Catches: a window on a shared storage that is read from its beginning.
#[test]
fn a_tensor_is_a_window_on_its_storage() {
    let tensors = of_six_floats(&pickle("FloatStorage", 2, [2, 2], [2, 1])).unwrap();
    let w = tensors["w"].clone().unwrap();
    assert_eq!(
        w.to_matrix("w").unwrap(),
        ndarray::array![[2.0, 3.0], [4.0, 5.0]]
    );
}

/// Catches: a state dict as modules give it: an ordered dictionary of parameters, with the versions of its modules as an attribute.
#[test]
fn an_ordered_dictionary_with_metadata_is_a_state_dict() {
    let plain = pickle("FloatStorage", 0, [2, 3], [3, 1]);
    let tensor = &plain[b"\x80\x02}X\x01\0\0\0w".len()..plain.len() - 2];
    let mut program = b"\x80\x02ccollections\nOrderedDict\nq\0)Rq\x01(X\x01\0\0\0w".to_vec();
    program.extend(b"ctorch._utils\n_rebuild_parameter\n");
    program.extend(tensor);
    program.extend(b"\x88h\0)R\x87RX\x01\0\0\0v");
    program.extend(tensor);
    program.extend(b"u}X\x09\0\0\0_metadatah\0)R(X\0\0\0\0}X\x07\0\0\0versionK\x01susb.");
    let tensors = of_six_floats(&program).unwrap();
    assert_eq!(tensors.keys().collect::<Vec<_>>(), ["w", "v"]);
    for tensor in tensors.values() {
        let tensor = tensor.clone().unwrap();
        assert_eq!(
            (tensor.shape(), &tensor.bytes()[..]),
            (&[2, 3][..], &six_floats()[..])
        );
    }
}

/// Catches: executing, or passing over, a call of anything that a state dict does not need.
#[test]
fn a_pickle_that_asks_for_a_function_is_refused_by_its_name() {
    for (program, name) in [
        (
            &b"\x80\x02cos\nsystem\nX\x02\0\0\0id\x85R."[..],
            "os.system",
        ),
        (
            b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.",
            "builtins.eval",
        ),
        (b"\x80\x02ctorch\nload\n)R.", "torch.load"),
        (
            b"\x80\x02ctorch._utils\n_rebuild_tensor\n)R.",
            "torch._utils._rebuild_tensor",
        ),
    ] {
        assert_eq!(pickle_error(program), PickleError::Global(name.into()));
    }
    let message = PickleError::Global("os.system".into()).to_string();
    let said = "the pickle asks for `os.system`, which a state dict never needs; refused";
    assert_eq!(message, said);
    // Instances (`i`, `o`), object creation (0x81) and extension registries (0x82) call functions too.
    for opcode in [b'i', b'o', 0x81, 0x82, 0x83, 0x84, 0x92, b'P', b'S', b'I'] {
        let error = pickle_error(&[0x80, 2, opcode]);
        assert_eq!(error, PickleError::Opcode { opcode, at: 2 });
    }
}

/// Catches: a name that is not a name of the module asked for: `OrderedDict` of another module may be anything.
#[test]
fn known_names_of_other_modules_are_refused() {
    let program = b"\x80\x02cevil\nOrderedDict\n)R.";
    assert_eq!(
        pickle_error(program),
        PickleError::Global("evil.OrderedDict".into())
    );
    // A storage is not a function, and a dictionary takes no arguments.
    for program in [
        &b"\x80\x02ctorch\nFloatStorage\n)R."[..],
        b"\x80\x02ccollections\nOrderedDict\nK\x01\x85R.",
        b"\x80\x02)R.",
        b"\x80\x02R.",
    ] {
        assert!(matches!(
            pickle_error(program),
            PickleError::Expected { .. }
        ));
    }
}

/// Catches: stacks, memos and recursions that a program without end fills.
#[test]
fn nesting_and_repeating_cost_no_more_than_the_file() {
    // A million dictionaries, each inside the last.
    let mut nested = b"\x80\x02".to_vec();
    (0..500_000).for_each(|_| nested.extend(b"}N"));
    nested.extend(b"}");
    nested.resize(nested.len() + 500_000, b's');
    nested.push(b'.');
    assert!(matches!(
        pickle_error(&nested),
        PickleError::NotAStateDict(_)
    ));

    // Tuples of the tuple before, twice: 2^n leaves if they were copied.
    let mut doubled = b"\x80\x02N".to_vec();
    for i in 0..200_000_u32 {
        doubled.push(b'r');
        doubled.extend(i.to_le_bytes());
        doubled.push(b'j');
        doubled.extend(i.to_le_bytes());
        doubled.push(0x86);
    }
    doubled.push(b'.');
    assert!(matches!(
        pickle_error(&doubled),
        PickleError::NotAStateDict(_)
    ));

    // One long tuple, offered as the shape of many tensors.
    let mut shapes = b"\x80\x02(".to_vec();
    (0..300_000).for_each(|_| shapes.extend(b"K\x01"));
    shapes.extend(b"tq\0.");
    let at = shapes.len() - 1;
    let mut tensor = pickle("FloatStorage", 0, [1, 6], [6, 1]);
    let shape = tensor
        .windows(5)
        .position(|w| w == [b'K', 1, b'K', 6, 0x86])
        .unwrap();
    tensor.splice(shape..shape + 5, *b"h\0");
    shapes.splice(at.., tensor.split_off(2));
    let PickleError::Expected { expected, .. } = pickle_error(&shapes) else {
        panic!("a shape of 300,000 axes was accepted");
    };
    assert_eq!(expected, "shape of at most eight axes");

    // Longer than any.
    let long = vec![b'N'; (4 << 20) + 1];
    assert!(matches!(
        of_six_floats(&long),
        Err(TorchError::LongPickle(_))
    ));
}

/// Catches: numbers read past their storage, in another order, or through a compressed entry.
#[test]
fn tensors_that_are_no_plain_slice_are_refused() {
    let message = |pickle: &[u8]| of_six_floats(pickle).unwrap_err().to_string();
    let past = message(&pickle("FloatStorage", 3, [2, 2], [2, 1]));
    assert_eq!(
        past,
        "w: shape [2, 2] at element 3 reaches past the 24 bytes of its storage"
    );
    let transposed = message(&pickle("FloatStorage", 0, [2, 3], [1, 2]));
    assert!(transposed.contains("call .contiguous()"), "{transposed}");
    let long = of_six_floats(&pickle("LongStorage", 0, [1, 3], [3, 1])).unwrap();
    let error = long["w"].clone().unwrap_err().to_string();
    assert!(error.contains("torch.LongStorage"), "{error}");

    let plain = pickle("FloatStorage", 0, [2, 3], [3, 1]);
    assert!(of_six_floats(&plain).is_ok());
    let entries = |entries: &[(&str, CompressionMethod, &[u8])]| {
        read_torch(torch_file(&plain, entries).into())
            .unwrap_err()
            .to_string()
    };
    let deflated = entries(&[("data/0", CompressionMethod::DEFLATE, &six_floats())]);
    assert!(
        deflated.contains("`archive/data/0` is compressed"),
        "{deflated}"
    );
    assert!(entries(&[]).contains("w: its numbers, entry `archive/data/0`, are missing"));
    let big = entries(&[("byteorder", CompressionMethod::STORE, b"big")]);
    assert!(big.contains("big-endian"), "{big}");
    let twice = ("data/0", CompressionMethod::STORE, &*six_floats());
    assert!(entries(&[twice, twice]).contains("has two entries `archive/data/0`"));
}

/// Catches: a state dict inside another object that is taken for one with other names.
#[test]
fn what_is_no_state_dict_is_told_by_what_it_is() {
    let mut epoch = pickle("FloatStorage", 0, [2, 3], [3, 1]);
    epoch.splice(epoch.len() - 1.., *b"X\x05\0\0\0epochK\x03s.");
    let error = pickle_error(&epoch).to_string();
    assert_eq!(
        error,
        "the pickle holds an int as `epoch`; save the model's state_dict() alone"
    );
    let mut twice = pickle("FloatStorage", 0, [2, 3], [3, 1]);
    let again = twice[3..twice.len() - 1].to_vec();
    twice.splice(twice.len() - 1.., again.into_iter().chain(*b"."));
    assert_eq!(pickle_error(&twice), PickleError::Duplicate("w".into()));
}

fn safetensors_file(header: &str, numbers: usize) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + numbers, 0);
    file
}

/// Catches: offsets that overlap, leave holes, overflow or end elsewhere than the file; names that occur twice.
#[test]
fn safetensors_headers_that_contradict_themselves_are_refused() {
    let f32s = |name: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"F32","shape":[{shape}],"data_offsets":[{start},{end}]}}"#)
    };
    let message = |tensors: &[String], numbers| {
        let file = safetensors_file(&format!("{{{}}}", tensors.join(",")), numbers);
        read_safetensors(file.into()).unwrap_err().to_string()
    };
    let first = f32s("a", "1", 0, 4);
    for second in [
        f32s("b", "1", 2, 6),
        f32s("b", "1", 8, 12),
        f32s("b", "2", 4, 8),
    ] {
        assert!(message(&[first.clone(), second], 12).contains("contradicts itself"));
    }
    let twice = message(&[first.clone(), first.clone()], 4);
    assert!(twice.contains("the tensor `a` is there twice"), "{twice}");
    let short = message(std::slice::from_ref(&first), 3);
    assert!(
        short.contains("describes 4 bytes of numbers, but the file holds 3"),
        "{short}"
    );

    // Sixteen tensors that together end just below 2^64, where adding the header's length overflows.
    let part = 1_u64 << 60;
    let mut tensors: Vec<_> = (0..15_u64)
        .map(|i| {
            f32s(
                &i.to_string(),
                &(part / 4).to_string(),
                i * part,
                (i + 1) * part,
            )
        })
        .collect();
    let rest = u64::MAX - 15 * part - 3;
    tensors.push(f32s(
        "15",
        &(rest / 4).to_string(),
        15 * part,
        15 * part + rest / 4 * 4,
    ));
    assert!(message(&tensors, 0).contains("but the file holds 0"));
    let overflow = f32s("a", "4294967296,4294967296,4294967296", 0, 0);
    assert!(message(&[overflow], 0).contains("contradicts itself"));
    let past = read_safetensors(u64::MAX.to_le_bytes().to_vec().into());
    assert!(
        past.unwrap_err()
            .to_string()
            .contains("only 0 bytes follow")
    );
}

/// What a file may become on a bad disk or in bad hands.
fn broken(file: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<Index>(), any::<u8>()), 0..6);
    (edits, any::<bool>(), any::<Index>(), any::<Index>()).prop_map(
        move |(edits, truncate, cut, near)| {
            let mut bytes = file.to_vec();
            // Headers stand at the ends; most edits belong there.
            let ends = near.index(2000).min(bytes.len() - 1) + 1;
            for (i, (at, byte)) in edits.into_iter().enumerate() {
                let at = at.index(ends);
                let at = if i % 2 == 0 { at } else { file.len() - 1 - at };
                bytes[at] = byte;
            }
            if truncate {
                bytes.truncate(cut.index(file.len()));
            }
            bytes
        },
    )
}

proptest! {
    /// Catches: any index, sum or allocation that trusts a file.
    #[test]
    fn broken_safetensors_never_panic(file in broken(&SAFETENSORS)) {
        let _ = read_safetensors(file.into());
    }

    /// Catches: a tensor of a broken file that is taken for a parameter in another shape.
    #[test]
    fn broken_checkpoints_are_errors_or_whole(file in broken(&SAFETENSORS)) {
        let config = fs::read(golden("tiny7b/config.json")).unwrap();
        if let Ok(checkpoint) = Checkpoint::from_bytes(&config, file.into()) {
            for (item, parameter) in checkpoint.iter().zip(checkpoint.config.parameters()) {
                prop_assert_eq!((item.name, item.tensor.shape()), (&*parameter.name, &*parameter.shape));
            }
        }
    }

    /// Catches: any index, sum or allocation that trusts a file.
    #[test]
    fn broken_torch_files_never_panic(file in broken(&TORCH)) {
        let _ = read_torch(file.into());
    }

    /// Catches: instructions that find another stack than they expect.
    #[test]
    fn random_pickles_never_panic(
        program in prop::collection::vec(
            prop::sample::select(&b"\x80\x02.(NKMJX\x01\0qrhj)t\x85\x86\x87}sucQRb\x8a\x8c\x93\x94\x95\x88w"[..]), 0..60),
        splice in any::<Index>(),
    ) {
        let _ = of_six_floats(&program);
        let mut real = pickle("FloatStorage", 0, [2, 3], [3, 1]);
        let at = splice.index(real.len());
        real.splice(at.., program);
        let _ = of_six_floats(&real);
    }

    /// Catches: a reader that expects any structure at all.
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_safetensors(bytes.clone().into());
        let _ = read_config(&bytes);
        let _ = read_generation_config(&bytes);
        let mut zip = b"PK\x05\x06".to_vec();
        zip.extend(&bytes);
        let _ = read_torch(bytes.into());
        let _ = read_torch(zip.into());
    }

    /// Catches: numbers of a configuration that overflow a product, divide by zero, or are taken unchecked.
    #[test]
    fn odd_configurations_never_panic(
        edits in prop::collection::vec((0..20_usize, prop::sample::select(&[
            "0", "-1", "1", "3", "18446744073709551615", "1e400", "null", "true", "\"x\"", "[]", "{}", "0.5", "[[[[[[]]]]]]",
        ][..])), 1..4),
    ) {
        let text = fs::read_to_string(golden("tiny7b/config.json")).unwrap();
        let mut config: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&text).unwrap();
        for key in ["num_key_value_heads", "head_dim", "rope_theta", "rope_scaling", "rope_parameters", "top_p"] {
            config.insert(key.into(), serde_json::Value::Null);
        }
        let keys: Vec<String> = config.keys().cloned().collect();
        let mut pairs: Vec<(String, String)> = config.iter().map(|(k, v)| (k.clone(), v.to_string())).collect();
        for (at, value) in edits {
            pairs[at % keys.len()].1 = value.into();
        }
        let body: Vec<String> = pairs.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        let json = format!("{{{}}}", body.join(","));
        if let Ok(model) = read_config(json.as_bytes()) {
            prop_assert!(model.config.validate().is_ok());
        }
        let _ = read_generation_config(json.as_bytes());
    }
}
