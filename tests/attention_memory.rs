//! What memory-efficient attention is named for, measured.

use baichuan2::attention::{Bias, Visibility, attend, attend_in_blocks};
use ndarray::Array2;

#[path = "common/counting.rs"]
mod counting;
use counting::peak;

const QUERIES: usize = 64;
const WIDTH: usize = 64;
const BLOCK: usize = 256;

/// Extra bytes at most for 64 queries over so many keys: in blocks, and with the whole map. The outputs must agree.
fn extra_bytes(keys: usize) -> (usize, usize) {
    let wave = |rows, seed| {
        Array2::from_shape_fn((rows, WIDTH), |(i, j)| {
            ((i * 31 + j * 7 + seed) as f32).sin()
        })
    };
    let (q, k, v) = (wave(QUERIES, 0), wave(keys, 1), wave(keys, 2));
    let bias = Bias {
        visibility: Visibility::Causal {
            first: keys - QUERIES,
        },
        alibi_slope: Some(0.01),
    };
    let mut out = Array2::zeros((QUERIES, WIDTH));
    let ((), blocks) =
        peak(|| attend_in_blocks(q.view(), k.view(), v.view(), &bias, BLOCK, out.view_mut()));
    let (whole, map) = peak(|| attend(q.view(), k.view(), v.view(), &bias).output);
    assert!(
        (&whole - &out).iter().all(|e| e.abs() < 1e-4),
        "{keys} keys"
    );
    (blocks, map)
}

/// Catches: a map of weights, a mask or an ALiBi bias that is made whole somewhere on the way.
#[test]
fn blocks_take_the_same_memory_however_many_keys() {
    let (blocks, map) = extra_bytes(4096);
    let (blocks_16, map_16) = extra_bytes(65_536);
    eprintln!(
        "4,096 keys: {blocks} bytes in blocks, {map} with the map; 65,536 keys: {blocks_16} and {map_16}"
    );
    assert!(
        blocks.abs_diff(blocks_16) < 4096,
        "{blocks} and {blocks_16} bytes"
    );
    // A block of scores, and the running output twice.
    let floats = 2 * QUERIES * BLOCK + 3 * QUERIES * WIDTH;
    assert!(blocks < 2 * 4 * floats, "{blocks} bytes");
    // The other way round, so that what counts is known to count: scores and weights, 64 × 65,536 of 4 bytes each.
    assert!(
        map_16 >= 2 * 4 * QUERIES * 65_536 && map_16 > 15 * map,
        "{map} and {map_16} bytes"
    );
}
