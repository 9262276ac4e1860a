use super::*;

#[test]
fn that_a_file_is_gone_is_told_once_and_not_while_it_is_replaced() {
    let (mut absence, begin) = (Absence::default(), Instant::now());
    let mut told = |is_gone, millis| absence.is_news(is_gone, begin + Duration::from_millis(millis));
    assert!(!told(true, 0) && !told(true, 250));
    assert!(!told(false, 500), "it was replaced");
    assert!(!told(true, 750) && !told(true, 1500));
    assert!(told(true, 1750));
    assert!(!told(true, 2000) && !told(true, 60_000));
    assert!(!told(false, 60_250));
    assert!(!told(true, 60_500) && told(true, 61_500), "again");
}
