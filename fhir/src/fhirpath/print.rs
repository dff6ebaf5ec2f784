//! Printing a syntax tree as text that parses to the same tree.

use std::fmt;

use super::ast::{
    Expression, ExpressionKind, Literal, POSTFIX_BINDING, SIGN_BINDING, TYPE_BINDING, TypeName, TypeOperator,
};
use super::unit::CalendarUnit;
use rust_decimal::Decimal;

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(f, self, 0)
    }
}

/// Prints a node, in parentheses where it binds more weakly than its surroundings.
fn print(f: &mut fmt::Formatter<'_>, expression: &Expression, surrounding: u8) -> fmt::Result {
    let parentheses = binding(&expression.kind) < surrounding;
    if parentheses {
        f.write_str("(")?;
    }
    print_kind(f, &expression.kind)?;
    if parentheses {
        f.write_str(")")?;
    }
    Ok(())
}

fn binding(kind: &ExpressionKind) -> u8 {
    match kind {
        ExpressionKind::Binary { operator, .. } => operator.binding(),
        ExpressionKind::Type { .. } => TYPE_BINDING,
        ExpressionKind::Sign { .. } => SIGN_BINDING,
        _ => POSTFIX_BINDING,
    }
}

fn print_kind(f: &mut fmt::Formatter<'_>, kind: &ExpressionKind) -> fmt::Result {
    match kind {
        ExpressionKind::Empty => f.write_str("{}"),
        ExpressionKind::Literal(literal) => print_literal(f, literal),
        ExpressionKind::This => f.write_str("$this"),
        ExpressionKind::Index => f.write_str("$index"),
        ExpressionKind::Total => f.write_str("$total"),
        ExpressionKind::Variable(name) => {
            f.write_str("%")?;
            print_name(f, name)
        }
        ExpressionKind::Member { base, name } => {
            print_base(f, base.as_deref())?;
            print_name(f, name)
        }
        ExpressionKind::Call { base, function, arguments } => {
            print_base(f, base.as_deref())?;
            print_name(f, function)?;
            f.write_str("(")?;
            for (index, argument) in arguments.iter().enumerate() {
                if index > 0 {
                    f.write_str(", ")?;
                }
                print(f, argument, 0)?;
            }
            f.write_str(")")
        }
        ExpressionKind::Item { base, index } => {
            print(f, base, POSTFIX_BINDING)?;
            f.write_str("[")?;
            print(f, index, 0)?;
            f.write_str("]")
        }
        ExpressionKind::Sign { negative, operand } => {
            f.write_str(if *negative { "-" } else { "+" })?;
            print(f, operand, SIGN_BINDING)
        }
        ExpressionKind::Binary { operator, left, right } => {
            print(f, left, operator.binding())?;
            write!(f, " {} ", operator.symbol())?;
            print(f, right, operator.binding() + 1)
        }
        ExpressionKind::Type { operator, operand, type_name } => {
            print(f, operand, TYPE_BINDING)?;
            f.write_str(if *operator == TypeOperator::Is { " is " } else { " as " })?;
            // Without the parentheses a dot behind it would run on; nodes above print them.
            write!(f, "{type_name}")
        }
    }
}

fn print_base(f: &mut fmt::Formatter<'_>, base: Option<&Expression>) -> fmt::Result {
    let Some(base) = base else { return Ok(()) };
    print(f, base, POSTFIX_BINDING)?;
    f.write_str(".")
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(namespace) = &self.namespace {
            print_name(f, namespace)?;
            f.write_str(".")?;
        }
        print_name(f, &self.name)
    }
}

fn print_literal(f: &mut fmt::Formatter<'_>, literal: &Literal) -> fmt::Result {
    match literal {
        Literal::Boolean(value) => write!(f, "{value}"),
        Literal::String(text) => print_delimited(f, text, '\''),
        Literal::Integer(number) => write!(f, "{number}"),
        Literal::Decimal(number) => write!(f, "{number}"),
        Literal::Date(date) => write!(f, "@{date}"),
        Literal::DateTime(date_time) if date_time.time.is_none() => write!(f, "@{date_time}T"),
        Literal::DateTime(date_time) => write!(f, "@{date_time}"),
        Literal::Time(time) => write!(f, "@T{time}"),
        Literal::Quantity(value, unit) => {
            write!(f, "{value} ")?;
            print_delimited(f, unit, '\'')
        }
        Literal::Duration(value, unit) => print_duration(f, *value, *unit),
    }
}

fn print_duration(f: &mut fmt::Formatter<'_>, value: Decimal, unit: CalendarUnit) -> fmt::Result {
    write!(f, "{value} {}", if value == Decimal::ONE { unit.word() } else { unit.plural() })
}

fn print_name(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let plain = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !is_keyword(name);
    if plain { f.write_str(name) } else { print_delimited(f, name, '`') }
}

/// Words that are quoted as names so that they read the same in every place.
fn is_keyword(word: &str) -> bool {
    super::parser::is_operator_word(word)
        || matches!(word, "true" | "false" | "is" | "as" | "in" | "contains")
        || CalendarUnit::from_word(word).is_some()
}

fn print_delimited(f: &mut fmt::Formatter<'_>, text: &str, delimiter: char) -> fmt::Result {
    use fmt::Write as _;
    f.write_char(delimiter)?;
    for character in text.chars() {
        match character {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{c}' => f.write_str("\\f")?,
            other if other == delimiter => write!(f, "\\{other}")?,
            other => f.write_char(other)?,
        }
    }
    f.write_char(delimiter)
}
