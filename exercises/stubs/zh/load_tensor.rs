//! # 从陌生人的文件里取出一个张量
//!
//! 权重以 safetensors 格式到来，这种格式很朴素，用手就能读：
//!
//! ```text
//! 8 字节       n：文件头有多长（u64，小端）
//! n 字节       文件头，JSON：{ "NAME": { "dtype": "F32", "shape": [2, 3], "data_offsets": [begin, end] }, … }
//! 其余         数：一行接一行，小端；begin 和 end 从这里数起，end 是最后一个字节的后一位
//! ```
//!
//! 文件头里有一个名字不是张量：`__metadata__`。要读两种数：`F32`，以及 Baichuan 2 发布时用的 `BF16`。BF16 是 f32 的上半部分：符号、
//! 八位指数，以及尾数的前七位。
//!
//! 文件是下载来的，里面每个数都只是一面之词。造它的人可能粗心，也可能有恶意；下载也可能中途停了。所以：不管字节是什么，要么给出张量，
//! 要么说明为什么不能。不许 panic，不许溢出，也不许文件头说多大就申请多大的内存。
//!
//! `serde_json::from_slice::<serde_json::Value>` 可以读 JSON。

use ndarray::ArrayD;

/// 为什么没有张量。
#[derive(Clone, Debug, PartialEq)]
pub enum Refused {
    /// 文件在文件头结束之前，或在这个张量的数结束之前就没有了。
    Truncated,
    /// 文件头不是 JSON，或者没有说出格式要求它对这个张量说的。
    Header,
    /// 文件里没有这个名字的张量。
    Missing,
    /// 它的数是这种别的格式。
    Format(String),
    /// 它的形状与偏移互相矛盾。
    Contradiction,
}

/// safetensors 文件里名为 `name` 的张量，`file` 是文件的字节。
pub fn load_tensor(file: &[u8], name: &str) -> Result<ArrayD<f64>, Refused> {
    todo!("load_tensor")
}
