//! The article's product: a name, a price in cents, a stock count, cached under
//! `product:{id}` for 300 seconds.

use std::sync::Arc;

use fake::Fake;
use fake::faker::company::en::{BsAdj, BsNoun};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Entity;
use crate::seed::below;
use crate::step::{ColumnKind, Columns, Key, RowId, Table, TableSpec, Ttl, Value};

/// The article's product row.
#[derive(Clone, Copy, Debug, Default)]
pub struct Product;

impl Entity for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn tables(&self) -> Vec<TableSpec> {
        let columns = [
            ("name", ColumnKind::Text),
            ("price_cents", ColumnKind::Integer),
            ("stock", ColumnKind::Integer),
        ];
        vec![TableSpec {
            name: "product".to_owned(),
            columns: columns.map(|(name, kind)| (name.to_owned(), kind)).to_vec(),
        }]
    }

    fn key(&self, _: Table, id: RowId) -> Key {
        Key::from(format!("product:{}", id.0))
    }

    fn ttl(&self) -> Ttl {
        Ttl::seconds(300)
    }

    fn contents(&self, _: Table, _: RowId, random: &mut ChaCha8Rng) -> Columns {
        let (quality, thing): (String, String) =
            (BsAdj().fake_with_rng(random), BsNoun().fake_with_rng(random));
        let name = format!("{quality} {thing}");
        product(name.into(), random.random_range(99..100_000), random.random_range(0..1_000))
    }

    fn change(&self, _: Table, first: &Columns, draw: u64) -> Columns {
        let name = match &first[0] {
            Value::Text(name) => Arc::clone(name),
            _ => unreachable!("contents() puts the name first"),
        };
        let price = 99 + below(draw, 99_901);
        product(name, price as i64, (draw % 1_000) as i64)
    }

    fn encode(&self, columns: &[Value], out: &mut Vec<u8>) {
        if let [Value::Text(name), Value::Integer(price), Value::Integer(stock)] = columns {
            out.extend_from_slice(&price.to_le_bytes());
            out.extend_from_slice(&stock.to_le_bytes());
            out.extend_from_slice(name.as_bytes());
        }
    }

    fn decode(&self, bytes: &[u8]) -> Option<Columns> {
        let (price, rest) = bytes.split_first_chunk()?;
        let (stock, name) = rest.split_first_chunk()?;
        let name = std::str::from_utf8(name).ok()?;
        Some(product(name.into(), i64::from_le_bytes(*price), i64::from_le_bytes(*stock)))
    }
}

fn product(name: Arc<str>, price_cents: i64, stock: i64) -> Columns {
    Arc::new([Value::Text(name), Value::Integer(price_cents), Value::Integer(stock)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};

    #[test]
    fn a_product_survives_the_cache() {
        let columns = Product.contents(Table(0), RowId(1), &mut Seed(1).stream(Purpose::Rows, 1));
        let mut bytes = Vec::new();
        Product.encode(&columns, &mut bytes);
        assert_eq!(Product.decode(&bytes), Some(columns));
        assert_eq!(Product.decode(&bytes[..7]), None);
    }
}
