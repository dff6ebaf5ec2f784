//! The parser: operator precedence over tokens, bounded in length and depth (FHIRPath 2.0.0, appendix B).

use super::ast::{
    BinaryOperator, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_NESTING_MAX, Expression,
    ExpressionKind, Literal, SIGN_BINDING, TYPE_BINDING, TypeName, TypeOperator,
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
    /// Nested deeper than [`EXPRESSION_NESTING_MAX`], or a chain longer than [`EXPRESSION_DEPTH_MAX`].
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
            Self::TooDeep => f.write_str("expression is nested too deeply or has too long a chain"),
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
    ///
    /// The steps have functions of their own: this one recurs, and its frame must stay small.
    fn expression(&mut self, binding: u8, nesting: usize) -> Result<Tree, ParseError> {
        if nesting >= EXPRESSION_NESTING_MAX {
            return Err(ParseError { offset: self.offset, kind: ParseErrorKind::TooDeep });
        }
        let mut left = self.prefix(nesting)?;
        loop {
            left = if let Some(operator) = self.binary_operator() {
                if operator.binding() < binding {
                    return Ok(left);
                }
                self.binary(operator, left, nesting)?
            } else if let Some(operator) = self.type_operator() {
                if TYPE_BINDING < binding {
                    return Ok(left);
                }
                self.type_operation(operator, left)?
            } else if self.at_symbol(".") {
                self.advance()?;
                self.invocation(Some(left), nesting)?
            } else if self.at_symbol("[") {
                self.item(left, nesting)?
            } else {
                return Ok(left);
            };
        }
    }

    fn binary(&mut self, operator: BinaryOperator, left: Tree, nesting: usize) -> Result<Tree, ParseError> {
        let offset = self.offset;
        self.advance()?;
        let right = self.expression(operator.binding() + 1, nesting + 1)?;
        let depth = left.depth.max(right.depth);
        let (left, right) = (Box::new(left.node), Box::new(right.node));
        self.tree(offset, depth, ExpressionKind::Binary { operator, left, right })
    }

    fn type_operation(&mut self, operator: TypeOperator, left: Tree) -> Result<Tree, ParseError> {
        let offset = self.offset;
        self.advance()?;
        let type_name = self.type_name()?;
        let operand = Box::new(left.node);
        self.tree(offset, left.depth, ExpressionKind::Type { operator, operand, type_name })
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
        match &self.token {
            Token::Symbol("+" | "-") => self.sign(nesting),
            Token::Symbol("(") => self.parentheses(nesting),
            Token::Symbol("{") => self.empty(),
            Token::Symbol(_) | Token::End => self.expected("a term"),
            Token::Word(word) if is_operator_word(word) => self.expected("a term"),
            Token::Word(word) if matches!(&**word, "true" | "false") => self.boolean(),
            Token::Word(_) | Token::Quoted(_) | Token::Special(_) => self.invocation(None, nesting),
            _ => self.literal(),
        }
    }

    fn sign(&mut self, nesting: usize) -> Result<Tree, ParseError> {
        let offset = self.offset;
        let negative = self.at_symbol("-");
        self.advance()?;
        let operand = self.expression(SIGN_BINDING, nesting + 1)?;
        let kind = ExpressionKind::Sign { negative, operand: Box::new(operand.node) };
        self.tree(offset, operand.depth, kind)
    }

    fn parentheses(&mut self, nesting: usize) -> Result<Tree, ParseError> {
        self.advance()?;
        let inner = self.expression(0, nesting + 1)?;
        self.expect_symbol(")")?;
        Ok(inner)
    }

    fn empty(&mut self) -> Result<Tree, ParseError> {
        let offset = self.offset;
        self.advance()?;
        self.expect_symbol("}")?;
        self.tree(offset, 0, ExpressionKind::Empty)
    }

    fn boolean(&mut self) -> Result<Tree, ParseError> {
        let offset = self.offset;
        let value = self.advance()? == Token::Word("true".into());
        self.tree(offset, 0, ExpressionKind::Literal(Literal::Boolean(value)))
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
        if matches!(self.token, Token::Special(_)) && base.is_none() {
            return self.special();
        }
        let offset = self.offset;
        let name = self.identifier("a member or a function")?;
        let depth = base.as_ref().map_or(0, |tree| tree.depth);
        let base = base.map(|tree| Box::new(tree.node));
        if self.at_symbol("(") {
            let (arguments, argument_depth) = self.arguments(nesting)?;
            let kind = ExpressionKind::Call { base, function: name, arguments };
            return self.tree(offset, depth.max(argument_depth), kind);
        }
        self.tree(offset, depth, ExpressionKind::Member { base, name })
    }

    fn special(&mut self) -> Result<Tree, ParseError> {
        let kind = match &self.token {
            Token::Special(name) if **name == *"this" => ExpressionKind::This,
            Token::Special(name) if **name == *"index" => ExpressionKind::Index,
            Token::Special(name) if **name == *"total" => ExpressionKind::Total,
            _ => return self.expected("$this, $index or $total"),
        };
        let offset = self.offset;
        self.advance()?;
        self.tree(offset, 0, kind)
    }

    fn arguments(&mut self, nesting: usize) -> Result<(Vec<Expression>, usize), ParseError> {
        self.advance()?;
        let (mut arguments, mut depth) = (Vec::new(), 0);
        while !self.at_symbol(")") {
            if !arguments.is_empty() {
                self.expect_symbol(",")?;
            }
            let argument = self.expression(0, nesting + 1)?;
            depth = depth.max(argument.depth);
            arguments.push(argument.node);
        }
        self.advance()?;
        Ok((arguments, depth))
    }
}

/// Words that are operators wherever a term could begin; `is`, `as`, `in` and `contains` may also be names.
pub(super) fn is_operator_word(word: &str) -> bool {
    matches!(word, "and" | "or" | "xor" | "implies" | "div" | "mod")
}

#[cfg(test)]
mod tests;
