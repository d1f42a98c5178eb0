"""The formula of a trial's id: unique, and it tells what it was made of."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nsd_imagery.errors import DataError
from nsd_imagery.experiment import SUBJECTS
from nsd_imagery.trial_ids import session_of, trial_id

KEY = st.tuples(
    st.sampled_from(["nsd", "nsdimagery"]),
    st.sampled_from(SUBJECTS),
    st.integers(1, 99),
    st.integers(0, 9_999),
    st.integers(0, 1),
)


@given(st.lists(KEY, unique=True, max_size=50))
def test_trial_ids_are_unique_over_subjects_experiments_sessions_and_epochs(keys: list) -> None:
    assert len({trial_id(*key) for key in keys}) == len(keys)


@given(KEY)
def test_a_trial_id_tells_experiment_subject_and_session(key: tuple) -> None:
    assert session_of(trial_id(*key)) == key[:3]


@pytest.mark.parametrize("number", [-1, 0, 12, 10_0_00_0000_0, 19_00_0000_0, 31_01_0000_0, 1_11_01_0000_0])
def test_what_is_no_trial_id_tells_nothing(number: int) -> None:
    with pytest.raises(DataError, match=f"^{number} is no trial_id"):
        session_of(number)


def test_a_trial_id_does_not_wrap_into_its_neighbour() -> None:
    with pytest.raises(DataError, match="10000"):
        trial_id("nsd", "subj01", 1, 10_000)
