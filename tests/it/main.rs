//! Promises that are kept by several parts together, one module each.

mod rules;
