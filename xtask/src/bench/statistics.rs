//! Medians and quartiles: a few disturbed rounds must not decide.

/// The middle value; NaNs are left out.
pub(crate) fn median(values: Vec<f64>) -> Option<f64> {
    quantile(values, 0.5)
}

/// Lower quartile, median and upper quartile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) middle: f64,
    pub(crate) high: f64,
}

pub(crate) fn spread(values: Vec<f64>) -> Option<Spread> {
    Some(Spread {
        low: quantile(values.clone(), 0.25)?,
        middle: quantile(values.clone(), 0.5)?,
        high: quantile(values, 0.75)?,
    })
}

/// The value below which this share of all lies.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> Option<f64> {
    values.retain(|value| !value.is_nan());
    values.sort_by(f64::total_cmp);
    let last = values.len().checked_sub(1)?;
    let place = share * last as f64;
    let (below, above) = (place.floor() as usize, place.ceil() as usize);
    Some(values[below] + (values[above] - values[below]) * (place - place.floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles() {
        let found = spread(vec![5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(found, Spread { low: 2.0, middle: 3.0, high: 4.0 });
        assert_eq!(median(vec![1.0, 2.0]), Some(1.5));
        assert_eq!(median(vec![f64::NAN]), None);
    }
}
