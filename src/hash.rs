//! Which partition a key chooses. Part of the on-disk format: once an entry is stored, its key has
//! to choose the same partition for ever.
//!
//! # The function
//!
//! All integers are unsigned and wrap at 64 bits.
//!
//! 1. `x` is the CRC-32 (IEEE) of the key in the upper 32 bits, and the key's length (its low 32
//!    bits) in the lower.
//! 2. `x` goes through the finalizer of `SplitMix64`: `x ^= x >> 30`, `x *= 0xbf58476d1ce4e5b9`,
//!    `x ^= x >> 27`, `x *= 0x94d049bb133111eb`, `x ^= x >> 31`.
//! 3. Jump consistent hash (Lamping and Veach, 2014): with `jump = 0`, as long as
//!    `jump < partitions`: the choice is `jump`, `x = x * 2862933555777941757 + 1`, and
//!    `jump = ((choice + 1) << 31) / ((x >> 33) + 1)`. The paper divides floating point numbers;
//!    whole ones give the same spread and leave no rounding to argue about.
//!
//! # Why
//!
//! When a partition is added, a key either stays or goes to the new one, and no more keys go than
//! have to; taking the sum modulo the partitions would move nearly all. The sum is the one frames
//! use, so it is fast. The length tells apart some keys whose sums collide, and the mix spreads
//! neighbouring sums.

/// The partition of `key` among `partitions`, which is at least 1.
pub(crate) fn partition_of(key: &[u8], partitions: u32) -> u32 {
    debug_assert!(partitions > 0, "a stream has a partition");
    if partitions <= 1 {
        return 0;
    }
    let length = key.len() as u64 & u64::from(u32::MAX);
    jump(mix(u64::from(crc32fast::hash(key)) << 32 | length), partitions)
}

/// Spreads neighbouring numbers: the finalizer of `SplitMix64`.
pub(crate) fn mix(mut x: u64) -> u64 {
    x ^= x >> 30;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x ^= x >> 27;
    x = x.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Ends after `partitions` rounds at most, and after their logarithm on average: the divisor is
/// at most 2^31, so `next` is always above `choice`.
fn jump(mut x: u64, partitions: u32) -> u32 {
    let (mut choice, mut next) = (0, 0);
    while next < u64::from(partitions) {
        choice = next;
        x = x.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((choice + 1) << 31) / ((x >> 33) + 1);
    }
    u32::try_from(choice).expect("the choice is below `partitions`, which is a u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed by another program from the header's words. A change here is a change of format.
    #[test]
    fn keys_choose_the_partitions_they_always_chose() {
        const PARTITIONS: [u32; 7] = [1, 2, 3, 8, 64, 1_000, u32::MAX];
        let long = [b'x'; 300];
        let vectors: [(&[u8], [u32; 7]); 7] = [
            (b"", [0, 0, 0, 0, 0, 0, 2_147_483_648]),
            (b"\0", [0, 0, 0, 0, 31, 620, 3_351_475_442]),
            (b"a", [0, 1, 2, 2, 42, 321, 178_916_682]),
            (b"customer-7", [0, 1, 2, 5, 5, 396, 2_793_236_528]),
            (b"order-1001", [0, 1, 2, 6, 51, 466, 4_151_126_943]),
            ("\u{fc}ber".as_bytes(), [0, 1, 2, 5, 18, 441, 2_056_388_589]),
            (&long, [0, 0, 0, 5, 35, 798, 894_375_982]),
        ];
        for (key, chosen) in vectors {
            assert_eq!(PARTITIONS.map(|count| partition_of(key, count)), chosen, "{key:?}");
        }
    }

    fn keys() -> impl Iterator<Item = Vec<u8>> {
        (0..100_000).map(|number| format!("customer-{number}").into_bytes())
    }

    #[test]
    fn keys_are_spread_evenly() {
        for partitions in [2_u32, 7, 64] {
            let mut counts = vec![0_u32; usize::try_from(partitions).unwrap()];
            for key in keys() {
                counts[usize::try_from(partition_of(&key, partitions)).unwrap()] += 1;
            }
            // 64 partitions get 1,562 keys each; 15 % is six standard deviations.
            let even = 100_000 / partitions;
            for count in counts {
                assert!(count.abs_diff(even) < even * 15 / 100, "{count} of {even}");
            }
        }
    }

    #[test]
    fn a_new_partition_takes_keys_and_no_key_moves_otherwise() {
        for partitions in [1, 2, 7, 63] {
            let mut moved = 0_u32;
            for key in keys() {
                let (old, new) =
                    (partition_of(&key, partitions), partition_of(&key, partitions + 1));
                assert!(new == old || new == partitions, "from {old} to {new}");
                moved += u32::from(new != old);
            }
            let share = 100_000 / (partitions + 1);
            assert!(moved.abs_diff(share) < share * 15 / 100, "{moved} of {share}");
        }
    }
}
