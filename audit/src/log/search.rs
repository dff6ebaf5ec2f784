//! Finding records: month by month, blocks whose tokens may match, then the records in them.

use chrono::{Duration, NaiveDate};
use tokio_postgres::types::ToSql;

use super::AuditLog;
use super::migrate::{month_of, next_month};
use super::read::{BLOCKS_AT_ONCE, COLUMNS, Stored};
use crate::{AuditError, Number, Page, Search, SearchOrder};

/// Records that one page looks at: what a search costs whose criteria are met together by hardly any, though each of them
/// by many. At some seven microseconds each, that is 0.7 seconds.
const LOOKED_AT_MAX: usize = 100_000;

/// A block's times may reach a little beyond its month.
const MONTH_SLACK: Duration = Duration::hours(1);

impl AuditLog {
    /// A page of the records that are looked for.
    ///
    /// # Errors
    /// When the database cannot be read, or a block is damaged.
    pub async fn search(&self, search: &Search) -> Result<Page, AuditError> {
        let Some((oldest, newest)) = self.months(search).await? else { return Ok(Page::default()) };
        let mut asked = Asked::of(search);
        let (mut page, mut looked_at) = (Page::default(), 0);
        let mut month = match search.order {
            SearchOrder::NewestFirst => newest,
            SearchOrder::OldestFirst => oldest,
        };
        while (oldest..=newest).contains(&month) {
            let blocks = self.blocks(&asked, month).await?;
            let is_last = blocks.len() < BLOCKS_AT_ONCE;
            for block in blocks {
                let mut records = block.records()?;
                looked_at += records.len();
                if search.order == SearchOrder::NewestFirst {
                    records.reverse();
                }
                for recorded in records {
                    if !search.is_met_by(&recorded) {
                        continue;
                    }
                    if page.records.len() >= search.limit {
                        page.next = page.records.last().map(|last| last.number);
                        return Ok(page);
                    }
                    page.records.push(recorded);
                }
                asked.behind = Some(match search.order {
                    SearchOrder::NewestFirst => block.first,
                    SearchOrder::OldestFirst => block.last,
                });
                if looked_at >= LOOKED_AT_MAX {
                    page.next = asked.behind;
                    return Ok(page);
                }
            }
            if is_last {
                month = match search.order {
                    SearchOrder::NewestFirst => month_of(month - Duration::days(1)),
                    SearchOrder::OldestFirst => next_month(month),
                };
            }
        }
        Ok(page)
    }

    /// The first and the last month that may have what is looked for; `None` where the log is empty.
    async fn months(&self, search: &Search) -> Result<Option<(NaiveDate, NaiveDate)>, AuditError> {
        let client = self.reader().await?;
        let oldest = "SELECT month FROM anamnesis.audit_block WHERE log = $1 ORDER BY last LIMIT 1";
        let newest = "SELECT month FROM anamnesis.audit_block WHERE log = $1 ORDER BY last DESC LIMIT 1";
        let parameters: [&(dyn ToSql + Sync); 1] = [&self.inner.number];
        let (oldest, newest) =
            futures::try_join!(client.query_opt(oldest, &parameters), client.query_opt(newest, &parameters))?;
        let (Some(oldest), Some(newest)) = (oldest, newest) else { return Ok(None) };
        let (mut oldest, mut newest): (NaiveDate, NaiveDate) = (oldest.try_get(0)?, newest.try_get(0)?);
        if let Some(from) = search.from {
            oldest = oldest.max(month_of((from - MONTH_SLACK).date_naive()));
        }
        if let Some(until) = search.until {
            newest = newest.min(month_of(until.date_naive()));
        }
        Ok(Some((oldest, newest)))
    }

    /// The next blocks of a month that may have what is looked for.
    async fn blocks(&self, asked: &Asked<'_>, month: NaiveDate) -> Result<Vec<Stored>, AuditError> {
        let mut conditions: Vec<(&str, &(dyn ToSql + Sync))> =
            vec![("log = ", &self.inner.number), ("month = ", &month)];
        if let Some(from) = &asked.search.from {
            conditions.push(("until >= ", from));
        }
        if let Some(until) = &asked.search.until {
            conditions.push(("since < ", until));
        }
        let behind = asked.behind.map(Number::to_sql);
        if let Some(behind) = &behind {
            conditions.push((asked.direction().0, behind));
        }
        if !asked.all_of.is_empty() {
            conditions.push(("tokens @> ", &asked.all_of));
        }
        conditions.extend(asked.any_of.iter().map(|any_of| ("tokens && ", any_of as _)));
        let numbered = conditions.iter().zip(1..).map(|((text, _), number)| format!("{text}${number}"));
        let all = numbered.collect::<Vec<_>>().join(" AND ");
        let parameters: Vec<_> = conditions.iter().map(|(_, value)| *value).collect();
        let mut statement = format!("SELECT {COLUMNS} FROM anamnesis.audit_block WHERE {all}");
        statement.push_str(&format!(" ORDER BY last {} LIMIT {BLOCKS_AT_ONCE}", asked.direction().1));
        let rows = self.reader().await?.query(&statement, &parameters).await?;
        rows.iter().map(Stored::of).collect()
    }
}

/// A search on its way.
struct Asked<'a> {
    search: &'a Search,
    /// Tokens that a block has to have.
    all_of: Vec<i64>,
    /// Tokens of which it has to have one each.
    any_of: Vec<Vec<i64>>,
    behind: Option<Number>,
}

impl<'a> Asked<'a> {
    fn of(search: &'a Search) -> Self {
        let (mut all_of, mut any_of) = (Vec::new(), Vec::new());
        for tokens in search.criteria.iter().filter_map(|criterion| criterion.tokens()) {
            match tokens.as_slice() {
                [one] => all_of.push(*one),
                _ => any_of.push(tokens),
            }
        }
        Self { search, all_of, any_of, behind: search.behind }
    }

    /// The condition of what comes next, and the order. A block that has the number itself may have more before or behind it.
    fn direction(&self) -> (&'static str, &'static str) {
        match self.search.order {
            SearchOrder::NewestFirst => ("first < ", "DESC"),
            SearchOrder::OldestFirst => ("last > ", "ASC"),
        }
    }
}
