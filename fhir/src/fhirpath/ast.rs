//! The syntax tree of FHIRPath: public, typed, with byte offsets, so that other compilers can lower it.

use rust_decimal::Decimal;

use super::parser;
use super::temporal::{Date, DateTime, Time};
use super::unit::CalendarUnit;

/// Longest expression that is parsed, in bytes. R4's longest search expression has about 4,000.
pub const EXPRESSION_BYTES_MAX: usize = 64 << 10;

/// Deepest syntax tree that is built; a chain `a.b.c` or `a | b | c` is as deep as it is long.
/// R4's deepest published expression needs about 70.
pub const EXPRESSION_DEPTH_MAX: usize = 250;

/// Deepest nesting of parentheses, arguments and signs that is parsed.
pub const EXPRESSION_NESTING_MAX: usize = 100;

/// One node of the syntax tree with everything below it (FHIRPath 2.0.0, appendix B, rule `expression`).
///
/// Two expressions are equal where their trees are; where they stood in their texts does not matter.
///
/// ```
/// use anamnesis_fhir::fhirpath::{BinaryOperator, Expression, ExpressionKind};
/// let expression = Expression::parse("Patient.name | Person.name")?;
/// let ExpressionKind::Binary { operator, .. } = &expression.kind else { unreachable!() };
/// assert_eq!(*operator, BinaryOperator::Union);
/// assert_eq!(expression.to_string(), "Patient.name | Person.name");
/// # Ok::<(), anamnesis_fhir::fhirpath::ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Expression {
    /// Byte offset in the parsed text: where the term begins, or for operators where the operator stands.
    pub offset: usize,
    /// What the node is.
    pub kind: ExpressionKind,
}

impl Expression {
    /// Parses one expression; comments and white space around it are allowed.
    ///
    /// # Errors
    /// [`ParseError`](super::ParseError) with the byte offset of the first fault, also where the text is longer
    /// than [`EXPRESSION_BYTES_MAX`], nested deeper than [`EXPRESSION_NESTING_MAX`], or its tree deeper than
    /// [`EXPRESSION_DEPTH_MAX`].
    pub fn parse(text: &str) -> Result<Self, super::ParseError> {
        parser::parse(text)
    }

    pub(super) fn new(offset: usize, kind: ExpressionKind) -> Self {
        Self { offset, kind }
    }

    /// The type that this expression names where a type specifier is expected, as in `ofType(FHIR.Patient)`;
    /// `None` for anything but `Name` and `Namespace.Name`.
    #[must_use]
    pub fn as_type_name(&self) -> Option<TypeName> {
        let ExpressionKind::Member { base, name } = &self.kind else { return None };
        let Some(base) = base else { return Some(TypeName { namespace: None, name: name.clone() }) };
        match &base.kind {
            ExpressionKind::Member { base: None, name: namespace } => {
                Some(TypeName { namespace: Some(namespace.clone()), name: name.clone() })
            }
            _ => None,
        }
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
    }
}

/// What a node of the syntax tree is.
///
/// `base` is what stands before the dot; `None` means the term starts from the context (`name` alone is
/// `$this.name`, and at the start of an expression also a type name such as `Patient`).
#[derive(Debug, Clone, PartialEq)]
pub enum ExpressionKind {
    /// `{}`
    Empty,
    /// A literal value.
    Literal(Literal),
    /// `$this`
    This,
    /// `$index`
    Index,
    /// `$total`
    Total,
    /// `%name`, without the percent sign and quotes.
    Variable(Box<str>),
    /// `base.name`
    Member {
        /// What the member is taken of.
        base: Option<Box<Expression>>,
        /// The member's name, without backticks.
        name: Box<str>,
    },
    /// `base.function(arguments)`
    Call {
        /// What the function is called on.
        base: Option<Box<Expression>>,
        /// The function's name.
        function: Box<str>,
        /// What stands between the parentheses.
        arguments: Vec<Expression>,
    },
    /// `base[index]`
    Item {
        /// The collection.
        base: Box<Expression>,
        /// Which of its items, from 0.
        index: Box<Expression>,
    },
    /// `+operand` or `-operand`
    Sign {
        /// True for `-`.
        negative: bool,
        /// What the sign is put before.
        operand: Box<Expression>,
    },
    /// `left operator right`
    Binary {
        /// Which operator.
        operator: BinaryOperator,
        /// What stands before it.
        left: Box<Expression>,
        /// What stands behind it.
        right: Box<Expression>,
    },
    /// `operand is Type` or `operand as Type`; the functions `is()`, `as()`, `ofType()` are [`Self::Call`]s.
    Type {
        /// Which of the two.
        operator: TypeOperator,
        /// What is tested or cast.
        operand: Box<Expression>,
        /// The type.
        type_name: TypeName,
    },
}

/// A literal value (FHIRPath 2.0.0 section 4.1).
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `true`, `false`
    Boolean(bool),
    /// `'text'`, unescaped
    String(Box<str>),
    /// `42`
    Integer(i32),
    /// `1.10`; the digits behind the point are kept
    Decimal(Decimal),
    /// `@2015-02`
    Date(Date),
    /// `@2015-02-04T14:34:28.123+01:00`
    DateTime(DateTime),
    /// `@T14:34`
    Time(Time),
    /// `10 'mg'`: the unit is a UCUM code
    Quantity(Decimal, Box<str>),
    /// `4 days`: the unit is a calendar duration
    Duration(Decimal, CalendarUnit),
}

/// A type as written behind `is`, `as`, or in `ofType()`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TypeName {
    /// `FHIR` or `System` where given.
    pub namespace: Option<Box<str>>,
    /// The name of the type.
    pub name: Box<str>,
}

/// The two operators whose right side is a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TypeOperator {
    /// `is`
    Is,
    /// `as`
    As,
}

/// The operators between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOperator {
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `div`
    IntegerDivide,
    /// `mod`
    Modulo,
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `&`
    Concatenate,
    /// `|`
    Union,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `~`
    Equivalent,
    /// `!~`
    NotEquivalent,
    /// `in`
    In,
    /// `contains`
    Contains,
    /// `and`
    And,
    /// `or`
    Or,
    /// `xor`
    Xor,
    /// `implies`
    Implies,
}

impl BinaryOperator {
    /// The operator as written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::IntegerDivide => "div",
            Self::Modulo => "mod",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Concatenate => "&",
            Self::Union => "|",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Equivalent => "~",
            Self::NotEquivalent => "!~",
            Self::In => "in",
            Self::Contains => "contains",
            Self::And => "and",
            Self::Or => "or",
            Self::Xor => "xor",
            Self::Implies => "implies",
        }
    }

    /// How strongly it binds: larger binds first (FHIRPath 2.0.0 section 6.8). All are left associative.
    pub(super) fn binding(self) -> u8 {
        match self {
            Self::Implies => 1,
            Self::Or | Self::Xor => 2,
            Self::And => 3,
            Self::In | Self::Contains => 4,
            Self::Equal | Self::NotEqual | Self::Equivalent | Self::NotEquivalent => 5,
            Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 6,
            Self::Union => 7,
            Self::Add | Self::Subtract | Self::Concatenate => TYPE_BINDING + 1,
            Self::Multiply | Self::Divide | Self::IntegerDivide | Self::Modulo => TYPE_BINDING + 2,
        }
    }
}

/// Binding of `is` and `as`.
pub(super) const TYPE_BINDING: u8 = 8;
/// Binding of a sign before a term.
pub(super) const SIGN_BINDING: u8 = 11;
/// Binding of `.` and `[`.
pub(super) const POSTFIX_BINDING: u8 = 12;
