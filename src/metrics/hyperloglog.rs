//! `HyperLogLog`: estimates the number of distinct elements from their hashes.
//!
//! Flajolet, Fusy, Gandouet, Meunier 2007, with the estimator of Ertl 2017 ("New cardinality estimation algorithms for
//! `HyperLogLog` sketches"), which needs no correction tables and is unbiased from zero to billions. 2,048 registers: a
//! standard error of 2.3 %.

const PRECISION: u32 = 11;
const REGISTERS: usize = 1 << PRECISION;

/// The bits of a hash that do not select the register determine the rank, 1 to 54.
const RANK_BITS: u32 = 64 - PRECISION;
const TOP_RANK: usize = RANK_BITS as usize + 1;

/// The highest rank of each register; 0 for none.
#[derive(Debug)]
pub struct Registers([u8; REGISTERS]);

impl Default for Registers {
    fn default() -> Self {
        Self([0; REGISTERS])
    }
}

impl Registers {
    /// Adds an element by its hash.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a register's number has 11 bits, a rank is at most 54"
    )]
    pub fn add(&mut self, hash: u64) {
        let register = (hash >> RANK_BITS) as usize;
        // The bit that is set at the end bounds the rank of a hash of zeros.
        let rank = ((hash << PRECISION) | (1 << (PRECISION - 1))).leading_zeros() + 1;
        let highest = &mut self.0[register];
        *highest = (*highest).max(rank as u8);
    }

    /// Adds the elements of another set.
    pub fn merge(&mut self, other: &Self) {
        for (register, other) in self.0.iter_mut().zip(&other.0) {
            *register = (*register).max(*other);
        }
    }

    /// The estimated number of distinct elements.
    #[must_use]
    pub fn estimate(&self) -> f64 {
        let mut ranks = [0_u32; TOP_RANK + 1];
        for rank in self.0 {
            ranks[usize::from(rank)] += 1;
        }
        estimate(&ranks)
    }
}

/// Ertl's improved raw estimator over the number of registers with each rank (his algorithm 6).
fn estimate(ranks: &[u32; TOP_RANK + 1]) -> f64 {
    let registers = f64::from(1_u32 << PRECISION);
    let mut sum = registers * tau(1.0 - f64::from(ranks[TOP_RANK]) / registers);
    for rank in (1..TOP_RANK).rev() {
        sum = 0.5 * (sum + f64::from(ranks[rank]));
    }
    sum += registers * sigma(f64::from(ranks[0]) / registers);
    registers * registers / (2.0 * std::f64::consts::LN_2 * sum)
}

fn sigma(share: f64) -> f64 {
    if share >= 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let next = sum + power * weight;
        weight += weight;
        if next <= sum {
            return sum;
        }
        sum = next;
    }
}

fn tau(share: f64) -> f64 {
    if share <= 0.0 || share >= 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        weight *= 0.5;
        let next = sum - (1.0 - root).powi(2) * weight;
        if next >= sum {
            return sum / 3.0;
        }
        sum = next;
    }
}
