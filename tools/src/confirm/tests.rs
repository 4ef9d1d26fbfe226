use super::*;

fn flags(yes: bool, confirm: Option<&str>) -> ConsentArgs {
    ConsentArgs { yes, confirm: confirm.map(str::to_owned).into_iter().collect(), dry_run: false }
}

fn answer(args: &ConsentArgs, stake: Stake<'_>) -> Option<Option<Exit>> {
    args.answer(stake).map(|answer| answer.err().map(|failure| failure.exit))
}

#[test]
fn data_loss_needs_the_name_and_yes() {
    let stake = Stake::Data("orders");
    assert_eq!(answer(&flags(true, Some("orders")), stake), Some(None));
    assert_eq!(answer(&flags(true, None), stake), Some(Some(Exit::Unconfirmed)));
    assert_eq!(answer(&flags(true, Some("other")), stake), Some(Some(Exit::Unconfirmed)));
    assert_eq!(answer(&flags(false, Some("other")), stake), Some(Some(Exit::Unconfirmed)));
    assert_eq!(answer(&flags(false, Some("orders")), stake), None, "asked");
    assert_eq!(answer(&flags(false, None), stake), None, "asked");
}

#[test]
fn other_changes_need_yes() {
    assert_eq!(answer(&flags(true, None), Stake::Other), Some(None));
    assert_eq!(answer(&flags(false, None), Stake::Other), None, "asked");
}
