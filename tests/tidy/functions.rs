//! How long functions are: from the line of `fn` to the closing brace at the same indent (the tree is rustfmt's).

/// A function of a file.
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it starts, from 1.
    pub line: usize,
    /// How long it is, braces included.
    pub lines: usize,
}

/// All functions of a text, nested ones too.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = name_of(line) else { continue };
        let indent = line.len() - line.trim_start().len();
        let closing = format!("{}}}", " ".repeat(indent));
        let end = lines[start..]
            .iter()
            .position(|line| *line == closing || line.trim_end().ends_with(';') && one_line(line));
        if let Some(length) = end {
            found.push(Function { name, line: start + 1, lines: length + 1 });
        }
    }
    found
}

/// A signature without a body, as in a trait.
fn one_line(line: &str) -> bool {
    name_of(line).is_some()
}

fn name_of(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    for prefix in ["pub(crate) ", "pub(super) ", "pub(in crate) ", "pub ", "const ", "async ", "unsafe "] {
        rest = rest.strip_prefix(prefix).unwrap_or(rest);
    }
    let name = rest.strip_prefix("fn ")?;
    Some(name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
}
