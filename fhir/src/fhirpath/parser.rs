//! The parser: operator precedence over tokens, bounded in length and depth (FHIRPath 2.0.0, appendix B).

use super::ast::{
    BinaryOperator, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, Expression, ExpressionKind, Literal,
    POSTFIX_BINDING, SIGN_BINDING, TYPE_BINDING, TypeName, TypeOperator,
};
use super::lexer::{Lexer, Token};
use super::unit::CalendarUnit;
use rust_decimal::Decimal;

/// What was wrong with an expression's text.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Longer than [`EXPRESSION_BYTES_MAX`].
    TooLong,
    /// Nested deeper than [`EXPRESSION_DEPTH_MAX`].
    TooDeep,
    /// A comment without its end.
    UnfinishedComment,
    /// A string or quoted name without its end.
    UnfinishedString,
    /// A backslash with something unknown behind it, or half of a surrogate pair.
    BadEscape,
    /// No such date or time.
    BadDate,
    /// An integer beyond 32 bits, or a decimal beyond 28 digits.
    NumberOutOfRange,
    /// A character that begins no token.
    UnexpectedCharacter,
    /// Something else should stand here.
    Expected(&'static str),
}

impl std::fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong => write!(f, "expression is longer than {EXPRESSION_BYTES_MAX} bytes"),
            Self::TooDeep => write!(f, "expression is nested deeper than {EXPRESSION_DEPTH_MAX}"),
            Self::UnfinishedComment => f.write_str("comment has no end"),
            Self::UnfinishedString => f.write_str("string has no end"),
            Self::BadEscape => f.write_str("unknown escape"),
            Self::BadDate => f.write_str("no such date or time"),
            Self::NumberOutOfRange => f.write_str("number out of range"),
            Self::UnexpectedCharacter => f.write_str("unexpected character"),
            Self::Expected(what) => write!(f, "expected {what}"),
        }
    }
}

/// The first fault of an expression and where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at offset {offset}")]
pub struct ParseError {
    /// Byte offset from 0 in the text of the expression.
    pub offset: usize,
    /// What is wrong.
    pub kind: ParseErrorKind,
}

/// Parses a whole text.
pub(super) fn parse(text: &str) -> Result<Expression, ParseError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(ParseError { offset: EXPRESSION_BYTES_MAX, kind: ParseErrorKind::TooLong });
    }
    let mut lexer = Lexer::new(text);
    let (offset, token) = lexer.next()?;
    let mut parser = Parser { lexer, token, offset };
    let tree = parser.expression(0, 0)?;
    match parser.token {
        Token::End => Ok(tree.node),
        _ => parser.expected("an operator or the end"),
    }
}

/// A node and the depth of its tree.
struct Tree {
    node: Expression,
    depth: usize,
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token,
    offset: usize,
}

impl Parser<'_> {
    fn advance(&mut self) -> Result<Token, ParseError> {
        let (offset, token) = self.lexer.next()?;
        self.offset = offset;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn expected<T>(&self, what: &'static str) -> Result<T, ParseError> {
        Err(ParseError { offset: self.offset, kind: ParseErrorKind::Expected(what) })
    }

    fn at_symbol(&self, symbol: &str) -> bool {
        matches!(&self.token, Token::Symbol(found) if *found == symbol)
    }

    fn expect_symbol(&mut self, symbol: &'static str) -> Result<(), ParseError> {
        if !self.at_symbol(symbol) {
            return self.expected(symbol);
        }
        self.advance().map(drop)
    }

    fn tree(&self, offset: usize, depth: usize, kind: ExpressionKind) -> Result<Tree, ParseError> {
        if depth >= EXPRESSION_DEPTH_MAX {
            return Err(ParseError { offset, kind: ParseErrorKind::TooDeep });
        }
        Ok(Tree { node: Expression::new(offset, kind), depth: depth + 1 })
    }

    /// Everything that binds at least as strongly as `binding`.
    fn expression(&mut self, binding: u8, nesting: usize) -> Result<Tree, ParseError> {
        if nesting >= EXPRESSION_DEPTH_MAX {
            return Err(ParseError { offset: self.offset, kind: ParseErrorKind::TooDeep });
        }
        let mut left = self.prefix(nesting)?;
        loop {
            let offset = self.offset;
            if let Some(operator) = self.binary_operator() {
                if operator.binding() < binding {
                    return Ok(left);
                }
                self.advance()?;
                let right = self.expression(operator.binding() + 1, nesting + 1)?;
                let depth = left.depth.max(right.depth);
                let (left_node, right_node) = (Box::new(left.node), Box::new(right.node));
                let kind = ExpressionKind::Binary { operator, left: left_node, right: right_node };
                left = self.tree(offset, depth, kind)?;
            } else if let Some(operator) = self.type_operator() {
                if TYPE_BINDING < binding {
                    return Ok(left);
                }
                self.advance()?;
                let type_name = self.type_name()?;
                let kind = ExpressionKind::Type { operator, operand: Box::new(left.node), type_name };
                left = self.tree(offset, left.depth, kind)?;
            } else if self.at_symbol(".") && POSTFIX_BINDING >= binding {
                self.advance()?;
                left = self.invocation(Some(left), nesting)?;
            } else if self.at_symbol("[") && POSTFIX_BINDING >= binding {
                left = self.item(left, nesting)?;
            } else {
                return Ok(left);
            }
        }
    }

    fn item(&mut self, base: Tree, nesting: usize) -> Result<Tree, ParseError> {
        let offset = self.offset;
        self.advance()?;
        let index = self.expression(0, nesting + 1)?;
        self.expect_symbol("]")?;
        let depth = base.depth.max(index.depth);
        let kind = ExpressionKind::Item { base: Box::new(base.node), index: Box::new(index.node) };
        self.tree(offset, depth, kind)
    }

    fn binary_operator(&self) -> Option<BinaryOperator> {
        use BinaryOperator as B;
        const ALL: [B; 22] = [
            B::Multiply,
            B::Divide,
            B::IntegerDivide,
            B::Modulo,
            B::Add,
            B::Subtract,
            B::Concatenate,
            B::Union,
            B::Less,
            B::LessOrEqual,
            B::Greater,
            B::GreaterOrEqual,
            B::Equal,
            B::NotEqual,
            B::Equivalent,
            B::NotEquivalent,
            B::In,
            B::Contains,
            B::And,
            B::Or,
            B::Xor,
            B::Implies,
        ];
        let found: &str = match &self.token {
            Token::Symbol(symbol) => symbol,
            Token::Word(word) => word,
            _ => return None,
        };
        ALL.into_iter().find(|operator| operator.symbol() == found)
    }

    fn type_operator(&self) -> Option<TypeOperator> {
        match &self.token {
            Token::Word(word) if **word == *"is" => Some(TypeOperator::Is),
            Token::Word(word) if **word == *"as" => Some(TypeOperator::As),
            _ => None,
        }
    }

    fn type_name(&mut self) -> Result<TypeName, ParseError> {
        let first = self.identifier("a type name")?;
        if !self.at_symbol(".") {
            return Ok(TypeName { namespace: None, name: first });
        }
        self.advance()?;
        let name = self.identifier("a type name")?;
        Ok(TypeName { namespace: Some(first), name })
    }

    fn identifier(&mut self, what: &'static str) -> Result<Box<str>, ParseError> {
        if !matches!(self.token, Token::Word(_) | Token::Quoted(_)) {
            return self.expected(what);
        }
        match self.advance()? {
            Token::Word(name) | Token::Quoted(name) => Ok(name),
            _ => self.expected(what),
        }
    }

    /// A term with the signs before it.
    fn prefix(&mut self, nesting: usize) -> Result<Tree, ParseError> {
        let offset = self.offset;
        if self.at_symbol("+") || self.at_symbol("-") {
            let negative = self.at_symbol("-");
            self.advance()?;
            let operand = self.expression(SIGN_BINDING, nesting + 1)?;
            let kind = ExpressionKind::Sign { negative, operand: Box::new(operand.node) };
            return self.tree(offset, operand.depth, kind);
        }
        if self.at_symbol("(") {
            self.advance()?;
            let inner = self.expression(0, nesting + 1)?;
            self.expect_symbol(")")?;
            return Ok(inner);
        }
        if self.at_symbol("{") {
            self.advance()?;
            self.expect_symbol("}")?;
            return self.tree(offset, 0, ExpressionKind::Empty);
        }
        match &self.token {
            Token::Word(word) if matches!(&**word, "true" | "false") => {
                let value = **word == *"true";
                self.advance()?;
                self.tree(offset, 0, ExpressionKind::Literal(Literal::Boolean(value)))
            }
            Token::Word(word) if is_operator_word(word) => self.expected("a term"),
            Token::Word(_) | Token::Quoted(_) | Token::Special(_) => self.invocation(None, nesting),
            Token::Symbol(_) | Token::End => self.expected("a term"),
            _ => self.literal(),
        }
    }

    fn literal(&mut self) -> Result<Tree, ParseError> {
        let offset = self.offset;
        let kind = match self.advance()? {
            Token::Variable(name) => ExpressionKind::Variable(name),
            Token::String(text) => ExpressionKind::Literal(Literal::String(text)),
            Token::Integer(number) => match self.quantity(Decimal::from(number))? {
                Some(quantity) => ExpressionKind::Literal(quantity),
                None => ExpressionKind::Literal(Literal::Integer(number)),
            },
            Token::Decimal(number) => match self.quantity(number)? {
                Some(quantity) => ExpressionKind::Literal(quantity),
                None => ExpressionKind::Literal(Literal::Decimal(number)),
            },
            Token::Date(date) => ExpressionKind::Literal(Literal::Date(date)),
            Token::DateTime(date_time) => ExpressionKind::Literal(Literal::DateTime(date_time)),
            Token::Time(time) => ExpressionKind::Literal(Literal::Time(time)),
            _ => return self.expected("a term"),
        };
        self.tree(offset, 0, kind)
    }

    /// The unit behind a number, where there is one.
    fn quantity(&mut self, value: Decimal) -> Result<Option<Literal>, ParseError> {
        let literal = match &mut self.token {
            Token::String(unit) => Literal::Quantity(value, std::mem::take(unit)),
            Token::Word(word) => match CalendarUnit::from_word(word) {
                Some(unit) => Literal::Duration(value, unit),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(literal))
    }

    /// A member, a function call, or one of `$this`, `$index`, `$total`.
    fn invocation(&mut self, base: Option<Tree>, nesting: usize) -> Result<Tree, ParseError> {
        let offset = self.offset;
        if let Token::Special(name) = &self.token {
            let kind = match &**name {
                "this" => ExpressionKind::This,
                "index" => ExpressionKind::Index,
                "total" => ExpressionKind::Total,
                _ => return self.expected("$this, $index or $total"),
            };
            if base.is_some() {
                return self.expected("a member or a function");
            }
            self.advance()?;
            return self.tree(offset, 0, kind);
        }
        let name = self.identifier("a member or a function")?;
        let mut depth = base.as_ref().map_or(0, |tree| tree.depth);
        let base = base.map(|tree| Box::new(tree.node));
        if !self.at_symbol("(") {
            return self.tree(offset, depth, ExpressionKind::Member { base, name });
        }
        self.advance()?;
        let mut arguments = Vec::new();
        while !self.at_symbol(")") {
            if !arguments.is_empty() {
                self.expect_symbol(",")?;
            }
            let argument = self.expression(0, nesting + 1)?;
            depth = depth.max(argument.depth);
            arguments.push(argument.node);
        }
        self.advance()?;
        self.tree(offset, depth, ExpressionKind::Call { base, function: name, arguments })
    }
}

/// Words that are operators wherever a term could begin; `is`, `as`, `in` and `contains` may also be names.
pub(super) fn is_operator_word(word: &str) -> bool {
    matches!(word, "and" | "or" | "xor" | "implies" | "div" | "mod")
}

#[cfg(test)]
mod tests;
