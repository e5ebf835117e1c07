//! What a cache of keys and values keeps, in which precision, and what it refuses.

use super::super::*;
use super::*;

/// Catches: a cache that says it is empty when it is not; tokens dropped in the first layer alone; a copy of all that is held at every token, or at any where
/// the limit was known.
#[test]
fn a_cache_counts_what_it_holds_and_grows_in_large_steps() {
    let grows = KeyValueCache::<f64> {
        layers: vec![LayerCache::new(1, 1); 2],
        limit: 512,
    };
    let has_room = KeyValueCache::new(CacheFormat::Full, 2, 1, 1, 512);
    for (mut cache, moves) in [(grows, 1..=10), (has_room, 0..=0)] {
        assert!(cache.is_empty() && cache.layers[0].is_empty());
        let one = ndarray::Array3::ones((1, 1, 1));
        let (mut moved, mut at) = (0, cache.layers[0].keys(0).as_ptr());
        for token in 1..=256 {
            for layer in &mut cache.layers {
                layer.append(one.view(), one.view()).unwrap();
            }
            assert_eq!((cache.len(), cache.layers[1].len()), (token, token));
            assert!(!cache.is_empty() && !cache.layers[1].is_empty());
            let now = cache.layers[0].keys(0).as_ptr();
            moved += usize::from(std::mem::replace(&mut at, now) != now);
        }
        assert!(moves.contains(&moved), "{moved} times");
        cache.truncate(300);
        assert_eq!(cache.len(), 256);
        cache.truncate(5);
        assert_eq!((cache.len(), cache.layers[1].len()), (5, 5));
    }
}

/// Keys and values of two heads that f16 does not hold exactly, `[2, tokens, 5]`.
fn wave(tokens: usize, seed: usize) -> ndarray::Array3<f32> {
    ndarray::Array3::from_shape_fn((2, tokens, 5), |(h, i, j)| {
        ((h * 101 + i * 31 + j * 7 + seed) as f32).sin()
    })
}

fn cache_of(
    format: CacheFormat,
    keys: &ndarray::Array3<f32>,
    values: &ndarray::Array3<f32>,
) -> LayerCache<f32> {
    let mut cache = LayerCache::new_in(format, 2, 5, 0);
    // In two parts, the second of which makes the cache grow.
    for part in [..7, ..keys.dim().1] {
        let new = cache.len()..part.end;
        let of = |all: &ndarray::Array3<f32>| all.slice(s![.., new.clone(), ..]).to_owned();
        let (keys, values) = (of(keys), of(values));
        cache.append(keys.view(), values.view()).unwrap();
    }
    cache
}

/// Catches: a cache in full that is copied where it is read, or rounded; one in f16 that is not, or is wider than it need be; heads or tokens exchanged where one is
/// widened; what a longer cache leaves behind its end.
#[test]
fn a_cache_in_f16_holds_the_nearest_numbers_in_half_the_bytes() {
    let (keys, values) = (wave(90, 0), wave(90, 1));
    let [full, half] =
        [CacheFormat::Full, CacheFormat::F16].map(|format| cache_of(format, &keys, &values));
    assert_eq!(full.byte_len(), 2 * 2 * 90 * 5 * 4);
    assert_eq!(half.byte_len(), full.byte_len() / 2);
    let rounded = |x: &f32| half::f16::from_f32(*x).to_f32();
    for head in 0..2 {
        assert!(full.keys(head).is_view() && full.values(head).is_view());
        for (all, kept, widened) in [
            (&keys, full.keys(head), half.keys(head)),
            (&values, full.values(head), half.values(head)),
        ] {
            let all = all.index_axis(Axis(0), head);
            assert_eq!(kept, all);
            assert_eq!(widened, all.map(rounded));
            assert_ne!(widened, all);
        }
    }
}

/// Catches: a block that is not widened anew, or is that of other keys or of another head; the rest of a longer block before it.
#[test]
fn attention_reads_a_cache_in_f16_as_the_numbers_that_it_holds() {
    let (keys, values) = (wave(90, 0), wave(90, 1));
    let cache = cache_of(CacheFormat::F16, &keys, &values);
    let queries = wave(70, 2);
    let bias = Bias {
        visibility: Visibility::Causal { first: 20 },
        alibi_slope: Some(0.1),
    };
    for head in 0..2 {
        let q = queries.index_axis(Axis(0), head);
        let (k, v) = (cache.keys(head), cache.values(head));
        let [mut kept, mut widened] = [(); 2].map(|()| Array2::<f32>::zeros((70, 5)));
        attend_in_blocks(
            q,
            cache.key_rows(head),
            cache.value_rows(head),
            &bias,
            32,
            kept.view_mut(),
        );
        attend_in_blocks(q, k.view(), v.view(), &bias, 32, widened.view_mut());
        assert_eq!(kept, widened);
        // A map of what is kept needs no care for its format.
        let mut map = HeadMap::new(q, k.view(), bias).unwrap();
        let weights = map.weights(0..70, 0..90, [70, 90], Pooling::Max).unwrap();
        let seen = weights.mapv(|w| if w.is_nan() { 0.0 } else { w });
        let difference = (seen.dot(&v) - &kept).mapv(f32::abs);
        assert!(difference.iter().all(|&e| e < 1e-5));
    }
}

/// Catches: an infinity put in the place of a number that f16 does not hold; one that is refused although it rounds down; half a pass that stays; a broken
/// number taken for one that is too large.
#[test]
fn what_f16_does_not_hold_is_refused_and_named() {
    let mut cache = LayerCache::new_in(CacheFormat::F16, 1, 2, 1);
    let of = |x: f32| ndarray::array![[[0.0, 1.0], [2.0, x]]];
    let fine = of(3.0);
    for largest in [65_504.0, -65_519.0] {
        cache.append(of(largest).view(), fine.view()).unwrap();
    }
    assert_eq!(cache.keys(0)[[1, 1]], 65_504.0);
    for value in [65_520.0, -1e9] {
        let (token, large) = (5, of(value));
        let refused = Err(CacheOverflow { token, value });
        assert_eq!(cache.append(large.view(), fine.view()), refused);
        assert_eq!(cache.append(fine.view(), large.view()), refused);
        assert_eq!(cache.len(), 4);
    }
    cache
        .append(of(f32::NAN).view(), of(f32::INFINITY).view())
        .unwrap();
    assert!(cache.keys(0)[[5, 1]].is_nan() && cache.values(0)[[5, 1]] == f32::INFINITY);
    let mut full = LayerCache::new(1, 2);
    full.append(of(1e9).view(), of(1e9).view()).unwrap();
    assert_eq!(full.keys(0)[[1, 1]], 1e9);
}
