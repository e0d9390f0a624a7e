//! Tables: a line of titles, then rows, columns as wide as their widest cell.

use std::fmt;

use super::text::{or_dash, printable};

/// A column's title, and the side its cells lean to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    right: bool,
}

/// A column of text.
pub(crate) fn left(title: &'static str) -> Column {
    Column { title, right: false }
}

/// A column of numbers.
pub(crate) fn right(title: &'static str) -> Column {
    Column { title, right: true }
}

/// A table of `N` columns. Empty cells are printed as a dash, so that every row has as many words as there are columns.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table without rows.
    pub(crate) fn new(columns: [Column; N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| or_dash(printable(&cell))));
    }

    fn widths(&self) -> [usize; N] {
        let mut widths = self.columns.map(|column| column.title.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }

    fn line<'a>(&self, widths: &[usize; N], cells: impl Iterator<Item = &'a str>) -> String {
        let padded = self.columns.iter().zip(widths).zip(cells).map(|((column, width), cell)| {
            if column.right { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        write!(f, "{}", self.line(&widths, self.columns.iter().map(|column| column.title)))?;
        for row in &self.rows {
            write!(f, "\n{}", self.line(&widths, row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([left("NAME"), right("PID"), left("COMMAND")]);
        table.row(["web".to_owned(), "12345".to_owned(), "nginx -g\u{7}".to_owned()]);
        table.row(["database".to_owned(), String::new(), "-".to_owned()]);
        let expected = "NAME        PID  COMMAND\nweb       12345  nginx -g\\u{7}\ndatabase      -  -";
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn a_table_without_rows_still_has_titles() {
        assert_eq!(Table::new([left("NAME"), right("PID")]).to_string(), "NAME  PID");
    }

    proptest! {
        #[test]
        fn every_row_is_one_line_and_begins_columns_alike(cells in proptest::collection::vec(".{0,12}", 1..20)) {
            let mut table = Table::new([left("A"), left("LAST")]);
            for cell in &cells {
                table.row([cell.clone(), "x".to_owned()]);
            }
            let text = table.to_string();
            let starts: Vec<_> = text.split('\n').map(|line| line.chars().count()).collect();
            prop_assert_eq!(starts.len(), cells.len() + 1);
            prop_assert!(starts[1..].iter().all(|start| *start == starts[1]));
        }
    }
}
