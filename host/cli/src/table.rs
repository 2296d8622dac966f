//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Row, Table, presets};

/// A table without lines. It is as wide as what is in it, or, where the width of a line is given, no wider than that;
/// each row is one line. In the columns `numbers`, what is in them stands on the right.
pub(crate) fn drawn<const N: usize>(
    heads: Option<[&str; N]>,
    rows: impl IntoIterator<Item = [String; N]>,
    numbers: &[usize],
    width: Option<u16>,
) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_truncation_indicator("…");
    let one_line = |mut row: Row| std::mem::take(row.max_height(1));
    if let Some(heads) = heads {
        table.set_header(one_line(heads.into()));
    }
    table.add_rows(rows.into_iter().map(|row| one_line(row.into())));
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
        if numbers.contains(&column.index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Its lines, without blanks at their ends.
pub(crate) fn lines(table: &Table) -> impl Iterator<Item = String> {
    table.lines().map(|line| line.trim_end().to_owned())
}
