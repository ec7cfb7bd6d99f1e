//! What is wrong with a file, as lines that editors can jump to.

use crate::cli::context::Context;
use crate::job::Problem;
use crate::report::printable;

/// Writes one line for each problem to standard error: `file:line:column: …`.
pub(super) fn show(context: &Context, problems: &[Problem]) {
    for problem in problems {
        context.terminal.line(&line(problem));
    }
}

/// The text of a problem, with the column behind its line.
fn line(problem: &Problem) -> String {
    let text = problem.to_string();
    let placed = problem.line.zip(problem.column).and_then(|(line, column)| {
        let place = format!("{}:{line}", problem.file);
        let rest = text.strip_prefix(&place)?;
        Some(format!("{place}:{column}{rest}"))
    });
    printable(&placed.unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Fault;

    #[test]
    fn a_problem_is_one_line_with_its_place() {
        let problem = Problem {
            file: "a\n.toml".to_owned(),
            line: Some(3),
            column: Some(7),
            key: "kind".to_owned(),
            fault: Fault::WrongValue,
            found: "5".to_owned(),
            expected: "a word".to_owned(),
        };
        assert_eq!(
            line(&problem),
            "a\\n.toml:3:7: key 'kind': found 5, expected a word"
        );
        let whole = Problem {
            line: None,
            ..problem
        };
        assert_eq!(line(&whole), "a\\n.toml: key 'kind': found 5, expected a word");
    }
}
