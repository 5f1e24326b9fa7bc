"""Reading the servos' answers: what was put in comes out, and nothing else does."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from prana_ros.simulation import registers as r
from prana_ros.simulation.instructions import packet
from prana_ros.so101.status_block import ADDRESS, LENGTH, PACKET_LENGTH, StatusError, parse

IDS = (1, 2, 3, 4, 5, 6)

readings = st.fixed_dictionaries(
    {
        r.PRESENT_POSITION: st.integers(-32767, 32767),
        r.PRESENT_VELOCITY: st.integers(-32767, 32767),
        r.PRESENT_LOAD: st.integers(-1000, 1000),
        r.PRESENT_VOLTAGE: st.integers(0, 255),
        r.PRESENT_TEMPERATURE: st.integers(0, 255),
        r.STATUS: st.integers(0, 63),
        r.PRESENT_CURRENT: st.integers(0, 500),
    }
)


def block(values):
    """The 15 bytes of one servo, by the memory table of the simulated one."""
    memory = bytearray(r.TABLE_SIZE)
    for register, value in values.items():
        memory[register.address : register.address + register.size] = r.encode(register, value)
    return bytes(memory[ADDRESS : ADDRESS + LENGTH])


def answer_of(servos, errors=(0,) * 6):
    return [packet(i, error, block(values)) for i, values, error in zip(IDS, servos, errors, strict=True)]


@given(st.lists(readings, min_size=6, max_size=6), st.lists(st.integers(0, 63), min_size=6, max_size=6))
def test_every_value_comes_out_as_it_went_in(servos, errors):
    result = parse(b"".join(answer_of(servos, errors)), IDS)
    np.testing.assert_array_equal(result.counts, [values[r.PRESENT_POSITION] for values in servos])
    np.testing.assert_array_equal(result.counts_per_second, [values[r.PRESENT_VELOCITY] for values in servos])
    np.testing.assert_allclose(result.load, [values[r.PRESENT_LOAD] / 1000 for values in servos])
    np.testing.assert_allclose(result.voltage, [values[r.PRESENT_VOLTAGE] / 10 for values in servos])
    np.testing.assert_array_equal(result.temperature, [values[r.PRESENT_TEMPERATURE] for values in servos])
    np.testing.assert_allclose(result.current, [values[r.PRESENT_CURRENT] * 0.0065 for values in servos])
    expected = [values[r.STATUS] | error for values, error in zip(servos, errors, strict=True)]
    np.testing.assert_array_equal(result.error_bits, expected)


@given(st.lists(readings, min_size=6, max_size=6), st.integers(0, 6 * PACKET_LENGTH - 1), st.integers(1, 255))
def test_a_changed_byte_is_noticed_and_blamed_on_its_servo(servos, position, change):
    answer = bytearray(b"".join(answer_of(servos)))
    answer[position] ^= change
    with pytest.raises(StatusError) as error:
        parse(bytes(answer), IDS)
    assert error.value.servo_ids == (IDS[position // PACKET_LENGTH],)


@given(st.lists(readings, min_size=6, max_size=6), st.integers(0, 6 * PACKET_LENGTH - 1))
def test_a_short_answer_blames_those_that_are_missing(servos, length):
    answer = b"".join(answer_of(servos))[:length]
    with pytest.raises(StatusError) as error:
        parse(answer, IDS)
    assert error.value.servo_ids == IDS[length // PACKET_LENGTH :]


@given(st.lists(readings, min_size=6, max_size=6), st.integers(0, 5), readings)
def test_a_late_answer_in_front_never_passes_for_the_present(servos, late, old):
    packets = answer_of(servos)
    stale = packet(IDS[late], 0, block(old))
    assume(stale != packets[late])
    for answer in (b"".join([stale, *packets]), b"".join([stale, *packets])[: 6 * PACKET_LENGTH]):
        with pytest.raises(StatusError):
            parse(answer, IDS)


@given(st.binary(max_size=200))
def test_noise_is_never_taken_for_an_answer(noise):
    with pytest.raises(StatusError):
        parse(noise, IDS)
