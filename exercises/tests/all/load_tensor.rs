use crate::{
    compare::{compare, equal},
    goldens,
    harness::{Finding, Problem, Trial, case, property, say},
    random::number,
};
use baichuan2::checkpoint::read_safetensors;
use ndarray::{ArrayD, IxDyn};
use proptest::{collection::vec, prelude::*};
use safetensors::{Dtype, tensor::TensorView};
use your_code::load_tensor::{Refused, load_tensor};

/// Quarters, which every format holds exactly, and a shape for them.
fn tensor() -> impl Strategy<Value = ArrayD<f64>> {
    vec(0..4_usize, 0..4).prop_flat_map(|shape| {
        let n: usize = shape.iter().product();
        let of_shape =
            move |v| ArrayD::from_shape_vec(IxDyn(&shape), v).expect("as many as the shape has");
        vec(number(), n).prop_map(of_shape)
    })
}

fn name(i: usize) -> String {
    ["gamma", "W_pack", "lm_head"][i].to_owned()
}

/// A file that the crate safetensors writes, in which some tensors follow each other.
fn written(tensors: &[ArrayD<f64>], dtype: Dtype) -> Vec<u8> {
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|tensor| {
            let of = |x: &f64| (*x as f32).to_le_bytes();
            tensor
                .iter()
                .flat_map(|x| {
                    if dtype == Dtype::F32 {
                        of(x).to_vec()
                    } else {
                        of(x)[2..].to_vec()
                    }
                })
                .collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .enumerate()
        .map(|(i, (tensor, bytes))| {
            let view = TensorView::new(dtype, tensor.shape().to_vec(), bytes)
                .expect("as many bytes as the shape has");
            (name(i), view)
        });
    safetensors::serialize(views, None).expect("a file")
}

/// A file with this header, and this behind it.
fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        data,
    ]
    .concat()
}

/// Two numbers, 1 and −2, with a header that says this of them.
fn claiming(dtype: &str, shape: &str, offsets: &str) -> Vec<u8> {
    let header =
        format!(r#"{{"gamma":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}"#);
    with_header(&header, &[1_f32, -2.0].map(f32::to_le_bytes).concat())
}

/// What the bytes of the file say where they are read in another way.
fn misread(
    file: &[u8],
    begin: usize,
    like: &ArrayD<f64>,
    width: usize,
    read: impl Fn(&[u8]) -> f64,
) -> ArrayD<f64> {
    let numbers = (0..like.len())
        .map(|i| {
            file.get(begin + i * width..begin + (i + 1) * width)
                .map_or(f64::NAN, &read)
        })
        .collect();
    ArrayD::from_shape_vec(like.raw_dim(), numbers).expect("as many as the shape has")
}

/// An IEEE half, of finite numbers.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023) / 1024.0);
    let size = if exponent == 0 {
        fraction * 2_f64.powi(-14)
    } else {
        (1.0 + fraction) * 2_f64.powi(exponent - 15)
    };
    if bits >> 15 == 1 { -size } else { size }
}

fn u16_of(b: &[u8]) -> u16 {
    u16::from_le_bytes([b[0], b[1]])
}

fn f32_of(b: &[u8]) -> f64 {
    f32::from_le_bytes([b[0], b[1], b[2], b[3]]).into()
}

fn bf16_of(b: &[u8]) -> f64 {
    f32::from_bits(u32::from(u16_of(b)) << 16).into()
}

/// The tensor that was got, or why it should have been one.
fn tensor_of(got: Result<ArrayD<f64>, Refused>) -> Result<ArrayD<f64>, Problem> {
    got.map_err(|refused| {
        Problem::wrong(say(
            format!("a good file is refused: {refused:?}"),
            format!("正常的文件被拒绝了：{refused:?}"),
        ))
    })
}

/// Each tensor of a file, as it was written.
fn check_file(tensors: &[ArrayD<f64>], dtype: Dtype) -> Finding {
    let file = written(tensors, dtype);
    let start = 8 + u64::from_le_bytes(*file.first_chunk().expect("a length")) as usize;
    let (_, header) = safetensors::SafeTensors::read_metadata(&file).expect("a header");
    let width = if dtype == Dtype::F32 { 4 } else { 2 };
    for (i, expected) in tensors.iter().enumerate() {
        let begin = header
            .info(&name(i))
            .expect("it was written")
            .data_offsets
            .0;
        let at =
            |from: usize, read: &dyn Fn(&[u8]) -> f64| misread(&file, from, expected, width, read);
        let mut comparison = compare(name(i), &tensor_of(load_tensor(&file, &name(i)))?, expected)
            .within(0.0)
            .given(
                &say("the header", "文件头"),
                &String::from_utf8_lossy(&file[8..start])
                    .trim_end()
                    .to_owned(),
            );
        let right: fn(&[u8]) -> f64 = if dtype == Dtype::F32 { f32_of } else { bf16_of };
        let backwards = |b: &[u8]| right(&b.iter().rev().copied().collect::<Vec<_>>());
        let columns: Vec<usize> = expected.shape().iter().rev().copied().collect();
        let columns = ArrayD::from_shape_vec(columns, expected.iter().copied().collect())
            .expect("the same number")
            .reversed_axes();
        comparison = comparison
            .smell(say("the offsets are counted from the start of the file, and begin behind the header", "偏移从文件开头数起了，应从文件头之后数起"), at(begin, &right))
            .smell(say("the offsets are counted from behind the eight bytes, and begin behind the header", "偏移从那八个字节之后数起了，应从文件头之后数起"), at(8 + begin, &right))
            .smell(say("these are the first numbers of the file: the offsets are not used", "这是文件最前面的数：没有用到偏移"), at(start, &right))
            .smell(say("the bytes of each number are in reverse: the format is little-endian", "每个数的字节反了：格式是小端序"), at(start + begin, &backwards))
            .smell(say("column by column, and the numbers lie row by row", "按列读了；数是按行排列的"), columns);
        if dtype == Dtype::BF16 {
            comparison = comparison
                .smell(say("this is what they would be as IEEE halves (F16); BF16 has eight bits of exponent", "这是当成 IEEE 半精度（F16）读出的；BF16 有八位指数"), at(start + begin, &|b| half(u16_of(b))))
                .smell(say("the two bytes are in the lower half of the f32, and belong in the upper one", "两个字节放进了 f32 的低半，应放进高半"), at(start + begin, &|b| f32::from_bits(u16_of(b).into()).into()))
                .smell(say("these are whole numbers: the bits are a float's", "这是整数：这些位是浮点数的"), at(start + begin, &|b| u16_of(b).into()));
        }
        comparison.check()?;
    }
    Ok(())
}

fn texts(refusals: &[Refused]) -> String {
    let texts: Vec<_> = refusals.iter().map(|r| format!("{r:?}")).collect();
    texts.join(" / ")
}

/// A file that must be refused, for one of these reasons.
fn check_refused(what: String, file: &[u8], name: &str, for_one_of: &[Refused]) -> Finding {
    let header = file.get(8..).map(|rest| {
        let end = rest.iter().rposition(|&b| b == b'}').map_or(0, |i| i + 1);
        String::from_utf8_lossy(&rest[..end]).into_owned()
    });
    let got = match load_tensor(file, name) {
        Err(refused) if for_one_of.contains(&refused) => return Ok(()),
        Err(refused) => format!("{refused:?}"),
        Ok(tensor) => format!("Ok({tensor:?})"),
    };
    let expected = texts(for_one_of);
    let got: String = got.chars().take(200).collect();
    let given = header.filter(|h| !h.is_empty()).map_or(String::new(), |h| {
        say(
            format!("\n  the header is {h}"),
            format!("\n  文件头是 {h}"),
        )
    });
    Err(Problem::wrong(say(
        format!("{what}: expected to be refused as {expected}, got {got}{given}"),
        format!("{what}：应拒绝，理由为 {expected}，得到 {got}{given}"),
    )))
}

pub fn trials() -> Vec<Trial> {
    use Refused::{Contradiction, Format, Header, Missing, Truncated};
    vec![
        property(
            "finds_each_tensor_in_f32",
            "找到每个 f32 张量",
            vec(tensor(), 1..4),
            |tensors| check_file(&tensors, Dtype::F32),
        ),
        property(
            "widens_bf16",
            "把 bf16 展宽",
            vec(tensor(), 1..4),
            |tensors| check_file(&tensors, Dtype::BF16),
        ),
        case(
            "reads_the_weights_of_the_shipped_model",
            "读出发布模型的权重",
            || {
                for path in ["tiny7b/model.safetensors", "tiny7b/acts.safetensors"] {
                    let path = goldens::file(path);
                    let file =
                        std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
                    let tensors =
                        read_safetensors(file.clone().into()).expect("the goldens are safetensors");
                    for (name, tensor) in tensors {
                        match tensor {
                            Ok(expected) => {
                                let got = tensor_of(load_tensor(&file, &name))?;
                                compare(name, &got, &expected.to_array().mapv(f64::from))
                                    .within(0.0)
                                    .check()?;
                            }
                            // Token ids, which are I64.
                            Err(_) => equal(
                                name.clone(),
                                &load_tensor(&file, &name),
                                &Err(Format("I64".to_owned())),
                            )
                            .check()?,
                        }
                    }
                }
                Ok(())
            },
        ),
        case(
            "says_what_it_does_not_read",
            "说明不读哪种格式",
            || {
                let file = claiming(r#""F32""#, "[2]", "[0,8]");
                check_refused(
                    say("a name that is not there", "没有的名字"),
                    &file,
                    "beta",
                    &[Missing],
                )?;
                check_refused(
                    say("numbers in F16", "F16 的数"),
                    &claiming(r#""F16""#, "[4]", "[0,8]"),
                    "gamma",
                    &[Format("F16".to_owned())],
                )?;
                let file = with_header(
                    r#"{"__metadata__":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
                    &[0; 4],
                );
                check_refused(
                    say(
                        "`__metadata__`, which is no tensor",
                        "`__metadata__` 不是张量",
                    ),
                    &file,
                    "__metadata__",
                    &[Missing],
                )
            },
        ),
        property(
            "a_download_that_stopped_is_refused",
            "没下载完的文件被拒绝",
            (tensor(), any::<prop::sample::Index>()),
            |(tensor, end)| {
                let file = written(&[tensor], Dtype::F32);
                let end = end.index(file.len());
                check_refused(
                    say(
                        format!("the first {end} of {} bytes of a file", file.len()),
                        format!("一个 {} 字节的文件的前 {end} 个字节", file.len()),
                    ),
                    &file[..end],
                    &name(0),
                    &[Truncated],
                )
            },
        ),
        case(
            "the_length_of_the_header_is_a_claim",
            "文件头的长度只是一面之词",
            || {
                for length in [u64::MAX, u64::MAX - 7, 1 << 63, 1 << 40, 3] {
                    let file = [&length.to_le_bytes()[..], b"{}"].concat();
                    check_refused(
                        say(
                            format!("a header that should be {length} bytes long, and 2 bytes"),
                            format!("文件头自称有 {length} 个字节，实际只有 2 个"),
                        ),
                        &file,
                        "gamma",
                        &[Truncated],
                    )?;
                }
                Ok(())
            },
        ),
        case(
            "a_header_may_be_anything",
            "文件头可能是任何东西",
            || {
                for header in ["", "{", "[]", "7", "null", "\u{0}", r#"{"gamma":{}"#] {
                    check_refused(
                        say(
                            format!("the header {header:?}"),
                            format!("文件头 {header:?}"),
                        ),
                        &with_header(header, &[0; 8]),
                        "gamma",
                        &[Header],
                    )?;
                }
                let file = [&4_u64.to_le_bytes()[..], b"\xff\xfe{}"].concat();
                check_refused(
                    say("a header that is no text", "不是文本的文件头"),
                    &file,
                    "gamma",
                    &[Header],
                )?;
                let too_little = [
                    r#"{"dtype":"F32"}"#,
                    r#"{"dtype":"F32","shape":[2]}"#,
                    r#"{"shape":[2],"data_offsets":[0,8]}"#,
                ];
                for entry in ["null", "[]", "7", "{}"].into_iter().chain(too_little) {
                    let file = with_header(&format!(r#"{{"gamma":{entry}}}"#), &[0; 8]);
                    check_refused(
                        say("an entry that does not say enough", "说得不够的条目"),
                        &file,
                        "gamma",
                        &[Header],
                    )?;
                }
                let shapes = ["[-2]", "[2.0]", r#"["2"]"#, "2", "[99999999999999999999]"]
                    .map(|shape| (shape, "[0,8]"));
                let offsets = ["[0]", "[0,8,8]", "[-8,0]", "8"].map(|offsets| ("[2]", offsets));
                for (shape, offsets) in shapes.into_iter().chain(offsets) {
                    check_refused(
                        say("an entry of the wrong kind", "类型不对的条目"),
                        &claiming(r#""F32""#, shape, offsets),
                        "gamma",
                        &[Header],
                    )?;
                }
                Ok(())
            },
        ),
        case("offsets_are_claims", "偏移也只是一面之词", || {
            let claim = |shape: &str, offsets: &str, for_one_of: &[Refused]| {
                check_refused(
                    say("8 bytes of numbers", "8 个字节的数"),
                    &claiming(r#""F32""#, shape, offsets),
                    "gamma",
                    for_one_of,
                )
            };
            claim("[2]", "[4,12]", &[Truncated])?;
            claim("[1000]", "[0,4000]", &[Truncated])?;
            claim("[2]", "[8,0]", &[Contradiction])?;
            claim("[2]", "[0,4]", &[Contradiction])?;
            claim("[1]", "[0,8]", &[Contradiction])?;
            claim("[3]", "[0,8]", &[Contradiction])?;
            claim("[0]", "[0,8]", &[Contradiction])?;
            claim("[1]", "[0,6]", &[Contradiction])?;
            claim("[1]", "[0,3]", &[Contradiction])?;
            claim(
                "[1]",
                "[18446744073709551612,18446744073709551615]",
                &[Contradiction, Truncated],
            )?;
            claim(
                "[1]",
                "[18446744073709551611,18446744073709551615]",
                &[Truncated],
            )
        }),
        case(
            "a_shape_can_be_larger_than_memory",
            "形状可以大过内存",
            || {
                let claim = |shape: &str, offsets: &str, for_one_of: &[Refused]| {
                    check_refused(
                        say("8 bytes of numbers", "8 个字节的数"),
                        &claiming(r#""F32""#, shape, offsets),
                        "gamma",
                        for_one_of,
                    )
                };
                // Products that come out as 0, 8 and 8 in 64 bits.
                claim("[4294967296,4294967296]", "[0,0]", &[Contradiction])?;
                claim("[4611686018427387906]", "[0,8]", &[Contradiction])?;
                claim("[2,9223372036854775809]", "[0,8]", &[Contradiction])?;
                // A size that agrees with its offsets: 2^63 bytes.
                claim(
                    "[2305843009213693952]",
                    "[0,9223372036854775808]",
                    &[Truncated],
                )
            },
        ),
        property(
            "never_panics",
            "从不 panic",
            (
                tensor(),
                vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            ),
            |(tensor, changes)| {
                let mut file = written(&[tensor], Dtype::F32);
                let length = file.len();
                for (at, byte) in changes {
                    file[at.index(length)] = byte;
                }
                let got = load_tensor(&file, &name(0));
                // The library refuses more: it looks at the whole file. What it takes is to be taken, and no other numbers.
                let Ok(tensors) = read_safetensors(file.clone().into()) else {
                    return Ok(());
                };
                match tensors.get(&name(0)) {
                    Some(Ok(expected)) if expected.dtype() == baichuan2::tensor::Dtype::F32 => {
                        let (got, expected) =
                            (tensor_of(got)?, expected.to_array().mapv(f64::from));
                        let bits = |x: &f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
                        let bits = |a: &ArrayD<f64>| {
                            (a.shape().to_vec(), a.iter().map(bits).collect::<Vec<_>>())
                        };
                        equal(
                            say("a changed file that is still good", "改动后仍然正常的文件"),
                            &bits(&got),
                            &bits(&expected),
                        )
                        .check()
                    }
                    _ => Ok(()),
                }
            },
        ),
    ]
}
