//! # 哪一对最常见？
//!
//! 字节对编码学习它的片段，靠的是反复问同一个问题：哪两个相邻的符号最常一起出现？这里就是这个问题。
//!
//! 文本以词给出：每个词是一串符号，以及它出现的次数。一对，是*同一个*词里相邻的两个。要数的是一次合并从左到右会替换多少处：`a a a` 里
//! (a, a) 算一次，因为前两个合并之后，第三个就没有伴了。`a a a a` 里算两次。
//!
//! 有几对同样最多时，取合起来的片段（两个符号连在一起）字符数较少的；仍然相同时，取片段按 `str` 的次序排在前面的；还相同时，取左边符号较短的。

use std::collections::BTreeMap;

/// 一个词的符号，以及它出现的次数。
pub type Word = (Vec<String>, u64);

/// 两个符号。
pub type Pair = (String, String);

/// 每一对若合并，会替换多少处。哪里都没有的对不在表里。
pub fn count_pairs(words: &[Word]) -> BTreeMap<Pair, u64> {
    todo!("count_pairs")
}

/// 最先要合并的一对。没有对时是 None。
pub fn most_frequent(counts: &BTreeMap<Pair, u64>) -> Option<Pair> {
    todo!("most_frequent")
}
