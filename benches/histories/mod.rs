//! Histories of a register for benchmarks: drawn from a seed, linearizable by construction.

use std::io::{self, Write};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use staleproof::history::log::{Kind, Op, Value};

/// What histories are like.
pub struct Shape {
    pub size: usize,
    pub clients: u32,
    pub keys: u32,
    pub percent_writes: u32,
    pub percent_deletes: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { size: 1_000, clients: 4, keys: 1, percent_writes: 45, percent_deletes: 5 }
    }
}

/// The operations of one key, in the order in which they ended.
pub fn generate(shape: &Shape) -> Vec<Op> {
    draw(shape).into_iter().map(|(op, _)| op).collect()
}

/// Operations with the keys they are on.
fn draw(shape: &Shape) -> Vec<(Op, u32)> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut free = vec![0u64; shape.clients as usize];
    let mut points = Vec::with_capacity(shape.size);
    let mut ops = Vec::with_capacity(shape.size);
    for number in 0..shape.size {
        let client = number % shape.clients as usize;
        let start = free[client] + rng.random_range(1..100u64);
        let end = start + rng.random_range(100..1_000u64);
        free[client] = end;
        let dice = rng.random_range(0..100u32);
        let kind = match dice < shape.percent_writes + shape.percent_deletes {
            true => Kind::Write,
            false => Kind::Read,
        };
        let deletes = dice < shape.percent_deletes;
        let value = if deletes { Value::NULL } else { Value(1) };
        points.push((rng.random_range(start..=end), number as u32));
        let key = rng.random_range(0..shape.keys);
        ops.push((Op::new(client as u32, kind, value, start, end), key));
    }
    points.sort_unstable();
    let mut now = vec![Value::NULL; shape.keys as usize];
    let mut last = vec![0; shape.keys as usize];
    for (_, number) in points {
        let (op, key) = &mut ops[number as usize];
        let key = *key as usize;
        match op.kind {
            Kind::Write => {
                if op.value != Value::NULL {
                    last[key] += 1;
                    op.value = Value(last[key]);
                }
                now[key] = op.value;
            }
            Kind::Read => op.value = now[key],
        }
    }
    ops.sort_by_key(|(op, _)| op.end);
    ops
}

/// The same as a file.
#[allow(dead_code, reason = "not every benchmark reads files")]
pub fn write_json_lines(shape: &Shape, mut file: impl Write) -> io::Result<()> {
    for (op, key) in draw(shape) {
        let value = match op.value {
            Value::NULL => "null".to_owned(),
            Value(number) => format!("\"v{number}\""),
        };
        let verb = if op.kind == Kind::Read { "read" } else { "write" };
        writeln!(
            file,
            "{{\"client\":{},\"op\":\"{verb}\",\"key\":\"product:{key}\",\"value\":{value},\
             \"start\":{},\"end\":{},\"outcome\":\"ok\"}}",
            op.client.0, op.start.0, op.end.0
        )?;
    }
    file.flush()
}
