//! Single operations of ours, without I/O: how long each takes, and how many instructions.
//!
//! [`operations`] are what is measured. A bench times them; [`count`] has callgrind count
//! their instructions, which are the same on a busy machine as on a quiet one, and compares them with the counts in
//! `benches/instructions.toml`.
//!
//! Invariant: no operation depends on time, addresses or chance. Ids, clocks and messages are the same in every run.

mod arguments;
mod baseline;
mod callgrind;
mod count;
mod exchanges;
mod flow;
mod frames;
mod heads;
mod messages;
mod operation;
mod signing;

pub use arguments::Arguments;
pub use callgrind::Repeat;
pub use count::run as count;
pub use operation::Operation;

/// All that is measured.
pub fn operations() -> impl Iterator<Item = &'static Operation> {
    let http = heads::OPERATIONS.iter();
    let proto = frames::OPERATIONS.iter().chain(&signing::OPERATIONS);
    let link = exchanges::OPERATIONS.iter().chain(&flow::OPERATIONS);
    http.chain(proto).chain(link)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_operation_has_a_name_of_its_own_and_can_be_done() {
        let names: HashSet<_> = operations().map(Operation::name).collect();
        assert_eq!(names.len(), operations().count());
        operations().for_each(|operation| operation.repeat(3));
    }
}
