//! What commands print: one report as an aligned table, versioned JSON, lines of JSON, or tab-separated values.
//!
//! Standard output carries data only; notes and errors go to standard error. JSON numbers are raw: bytes and milliseconds.

use std::io::{self, Write};

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

use crate::client::error::ClientError;
use crate::exit::{Exit, exit_of};

/// How a report looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    Table,
    /// The same with more columns.
    Wide,
    /// One JSON document with kind, data and errors.
    Json,
    /// One JSON object a row.
    Jsonl,
    /// Tab-separated raw values under a header line.
    Tsv,
}

/// How to print the result.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArgs {
    /// Form of the result on standard output
    #[arg(short = 'o', long, value_enum, default_value_t = Format::Table, value_name = "FORM")]
    pub output: Format,
    /// Short for --output json
    #[arg(long, conflicts_with = "output")]
    pub json: bool,
}

impl OutputArgs {
    /// The chosen form.
    pub fn format(self) -> Format {
        if self.json { Format::Json } else { self.output }
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    wide: bool,
}

/// A column of text.
pub const fn left(title: &'static str) -> Column {
    Column { title, right: false, wide: false }
}

/// A column of numbers.
pub const fn right(title: &'static str) -> Column {
    Column { title, right: true, wide: false }
}

impl Column {
    /// Shown only when wide.
    pub const fn wide(mut self) -> Column {
        self.wide = true;
        self
    }
}

/// One value of a table: as people read it, and raw.
#[derive(Clone, Debug)]
pub struct Cell {
    shown: String,
    raw: String,
}

impl Cell {
    /// A value whose shown form differs from the raw one.
    pub fn of(shown: impl Into<String>, raw: impl ToString) -> Cell {
        Cell { shown: shown.into(), raw: raw.to_string() }
    }
}

impl<T: ToString> From<T> for Cell {
    fn from(value: T) -> Cell {
        let raw = value.to_string();
        Cell { shown: raw.clone(), raw }
    }
}

/// Rows under columns.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: impl Into<Vec<Column>>) -> Table {
        Table { columns: columns.into(), rows: Vec::new() }
    }

    /// Adds a row; as many cells as columns.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        let cells = cells.into();
        assert_eq!(cells.len(), self.columns.len(), "a row has a cell for each column");
        self.rows.push(cells);
    }

    /// Aligned, without trailing spaces.
    pub fn render(&self, wide: bool) -> String {
        let shown: Vec<usize> = (0..self.columns.len()).filter(|i| wide || !self.columns[*i].wide).collect();
        let width = |text: &str| text.chars().count();
        let widest = |i: usize| self.rows.iter().map(|row| width(&row[i].shown)).max().unwrap_or(0);
        let widths: Vec<usize> =
            shown.iter().map(|i| widest(*i).max(width(self.columns[*i].title))).collect();
        let line = |cell: &dyn Fn(usize) -> String| {
            let mut text = String::new();
            for (at, i) in shown.iter().enumerate() {
                let value = cell(*i);
                let pad = " ".repeat(widths[at] - width(&value));
                let (before, after) =
                    if self.columns[*i].right { (pad.as_str(), "") } else { ("", pad.as_str()) };
                text.push_str(if at > 0 { "  " } else { "" });
                text.push_str(&format!("{before}{value}{after}"));
            }
            format!("{}\n", text.trim_end())
        };
        let mut text = line(&|i| self.columns[i].title.to_owned());
        for row in &self.rows {
            text.push_str(&line(&|i| row[i].shown.clone()));
        }
        text
    }

    fn render_tsv(&self) -> String {
        let clean = |text: &str| text.replace(['\t', '\n', '\r'], " ");
        let titles = self.columns.iter().map(|column| column.title.to_lowercase().replace(' ', "_"));
        let mut text = titles.collect::<Vec<_>>().join("\t") + "\n";
        for row in &self.rows {
            text.push_str(&(row.iter().map(|cell| clean(&cell.raw)).collect::<Vec<_>>().join("\t") + "\n"));
        }
        text
    }
}

/// Something that went wrong with one item while others may have succeeded.
#[derive(Clone, Debug, Serialize)]
pub struct ItemError {
    /// Which item, as `topic orders`.
    pub item: String,
    /// Kafka's name of the error, or ours.
    pub code: String,
    /// What to tell a person.
    pub message: String,
    #[serde(skip)]
    exit: Exit,
}

impl ItemError {
    /// The error of an item.
    pub fn of(item: impl Into<String>, error: &ClientError) -> ItemError {
        let code = error.code().map_or("CLIENT_ERROR", |code| code.name()).to_owned();
        ItemError { item: item.into(), code, message: error.to_string(), exit: exit_of(error) }
    }

    /// An error that no broker reported.
    pub fn local(item: impl Into<String>, code: &str, message: impl Into<String>, exit: Exit) -> ItemError {
        ItemError { item: item.into(), code: code.to_owned(), message: message.into(), exit }
    }
}

/// The result of a command.
#[derive(Debug)]
pub struct Report {
    kind: &'static str,
    data: Value,
    tables: Vec<Table>,
    notes: Vec<String>,
    errors: Vec<ItemError>,
}

impl Report {
    /// A report of this kind, as `topic.list`; `data` is an object whose one array, if any, is the rows.
    pub fn new(kind: &'static str, data: impl Serialize) -> Report {
        let data = serde_json::to_value(data).expect("reports are plain data");
        Report { kind, data, tables: Vec::new(), notes: Vec::new(), errors: Vec::new() }
    }

    /// Adds a table.
    pub fn table(mut self, table: Table) -> Report {
        self.tables.push(table);
        self
    }

    /// Adds a line for standard error.
    pub fn note(mut self, note: impl Into<String>) -> Report {
        self.notes.push(note.into());
        self
    }

    /// Adds what failed.
    pub fn errors(mut self, errors: Vec<ItemError>) -> Report {
        self.errors.extend(errors);
        self
    }

    /// Prints it; the exit code when something failed.
    pub fn print(&self, format: Format) -> io::Result<Option<Exit>> {
        let mut out = io::stdout().lock();
        out.write_all(self.render(format).as_bytes())?;
        out.flush()?;
        for note in &self.notes {
            eprintln!("{note}");
        }
        for error in &self.errors {
            eprintln!("error: {}: {}", error.item, error.message);
        }
        Ok(self.exit())
    }

    /// What goes to standard output.
    pub fn render(&self, format: Format) -> String {
        match format {
            Format::Table | Format::Wide => {
                let wide = format == Format::Wide;
                self.tables.iter().map(|table| table.render(wide)).collect::<Vec<_>>().join("\n")
            }
            Format::Tsv => self.tables.iter().map(Table::render_tsv).collect::<Vec<_>>().join("\n"),
            Format::Json => format!("{:#}\n", self.envelope()),
            Format::Jsonl => self.rows().iter().map(|row| format!("{row}\n")).collect(),
        }
    }

    fn envelope(&self) -> Value {
        json!({ "kind": format!("tidemark.{}/v1", self.kind), "data": self.data, "errors": self.errors })
    }

    /// The rows: the array of the data, or the data itself.
    fn rows(&self) -> Vec<Value> {
        let array = match &self.data {
            Value::Array(rows) => Some(rows),
            Value::Object(fields) => fields.values().find_map(Value::as_array),
            _ => None,
        };
        array.cloned().unwrap_or_else(|| vec![self.data.clone()])
    }

    /// The code all errors agree on, or the general one.
    fn exit(&self) -> Option<Exit> {
        let first = self.errors.first()?.exit;
        Some(if self.errors.iter().all(|error| error.exit == first) { first } else { Exit::Failed })
    }
}

#[cfg(test)]
mod tests;
