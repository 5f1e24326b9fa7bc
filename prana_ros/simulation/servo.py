"""One STS3215 servo: its memory, what it measures, when it protects itself.

The servo stands between the bus, which reads and writes its memory table, and the joint of a plant, which
``update`` feeds with angle, velocity and torque and which ``target``, ``driving`` and ``torque_fraction`` command.

Electrical and thermal figures are those of the 12 V STS3215: 30 kg·cm and 2.7 A at stall; the temperature follows
the square of the load with a first-order lag.
"""

import math

from prana_ros.simulation import registers as r
from prana_ros.simulation.registers import ErrorBits, Register
from prana_ros.so101.model import ACTUATOR

RADIANS_PER_COUNT = 2.0 * math.pi / r.COUNTS_PER_TURN
STALL_CURRENT = 2.7
SUPPLY_VOLTAGE = 12.0
AMBIENT_TEMPERATURE = 25.0
STALL_TEMPERATURE_RISE = 60.0
THERMAL_TIME_CONSTANT = 300.0
CENTER_COMMAND = 128
"""Written to TORQUE_ENABLE it makes the present position the middle of the turn."""
_LATCHED = ErrorBits.OVERLOAD | ErrorBits.OVERCURRENT
_FREE_LEAD = ACTUATOR.torque_limit / ACTUATOR.position_gain
"""How far (rad) a target must be ahead of the joint for the motor's whole torque."""
_MEASURED = range(r.PRESENT_POSITION.address, r.GOAL_POSITION_2.address + 2)


class Servo:
    """A servo on the bus.

    Attributes:
        supply_voltage: V at its plug.
        temperature: °C of the case.
        muted: True for a servo that lost its plug: it never answers.
        forced_errors: error bits that stay set whatever happens, for tests.
    """

    def __init__(self, servo_id: int) -> None:
        """Make a servo as it comes from the factory, its horn put on with the middle of the turn at joint angle 0.

        Args:
            servo_id: its address on the bus, 0 to 252.
        """
        self.encoder_zero = r.COUNTS_PER_TURN / 2.0
        self.supply_voltage = SUPPLY_VOLTAGE
        self.temperature = AMBIENT_TEMPERATURE
        self.muted = False
        self.forced_errors = 0
        self._memory = bytearray(r.TABLE_SIZE)
        self._write_factory_values()
        self._put(r.ID, servo_id)
        self._stored = bytearray(self._memory)
        self._angle = self._velocity = self._torque = self._pwm = 0.0
        self.power_cycle()

    def power_cycle(self) -> None:
        """Start anew: EPROM as it was stored, RAM and latched errors as at power-on, torque off."""
        self._memory[:] = self._stored
        self._put(r.TORQUE_LIMIT, self.get(r.MAX_TORQUE))
        self._registered: tuple[int, bytes] | None = None
        self._latched = 0
        self._overload_sign = 0.0
        self._overload_time = self._overcurrent_time = 0.0
        self._change_mode()
        self._refresh()

    def assemble(self, encoder_zero: float, homing_offset: int, min_position: int, max_position: int) -> None:
        """Mount the servo in an arm and keep a calibration in its EPROM; the servo starts anew.

        Args:
            encoder_zero: encoder count (fractional) at joint angle 0, before the homing offset.
            homing_offset: counts that the servo takes from the encoder.
            min_position: lowest goal in counts.
            max_position: highest goal in counts.
        """
        self.encoder_zero = encoder_zero
        self._put(r.HOMING_OFFSET, homing_offset)
        self._put(r.MIN_POSITION, min_position)
        self._put(r.MAX_POSITION, max_position)
        for register in (r.HOMING_OFFSET, r.MIN_POSITION, r.MAX_POSITION):
            self._store(register)
        self.power_cycle()

    # -- the bus side ------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Address on the bus."""
        return self._memory[r.ID.address]

    @property
    def baud_rate(self) -> int:
        """Bits per second at which the servo listens."""
        index = self._memory[r.BAUD_RATE.address]
        return r.BAUD_RATES[index] if index < len(r.BAUD_RATES) else r.BAUD_RATES[0]

    @property
    def answers_writes(self) -> bool:
        """Whether a status packet follows a write, too."""
        return self._memory[r.RESPONSE_LEVEL.address] != 0

    @property
    def errors(self) -> int:
        """``ErrorBits`` at this moment."""
        errors = self._latched | self.forced_errors
        if self.temperature > self._max_temperature:
            errors |= ErrorBits.OVERHEAT
        if not self._voltage_range[0] <= self.supply_voltage <= self._voltage_range[1]:
            errors |= ErrorBits.VOLTAGE
        return errors

    def get(self, register: Register) -> int:
        """Value of a register."""
        if register.address in _MEASURED:
            self._measure()
        return r.decode(register, self._memory)

    def read(self, address: int, length: int) -> bytes:
        """``length`` bytes from ``address`` on, measured values as of now; zeros beyond the table."""
        if address <= _MEASURED[-1] and address + length > _MEASURED[0]:
            self._measure()
        return bytes(self._memory[address : address + length]).ljust(length, b"\0")

    def write(self, address: int, data: bytes) -> None:
        """Write bytes from ``address`` on, as far as they may be written, and act on them."""
        written = range(address, min(address + len(data), r.TABLE_SIZE))
        unlocked = not self._memory[r.LOCK.address]
        for offset, byte in zip(written, data, strict=False):
            if offset not in r.READ_ONLY:
                self._memory[offset] = byte
                if unlocked and offset < r.RAM_START:
                    self._stored[offset] = byte
        if r.MAX_TORQUE.address in written:
            self._put(r.TORQUE_LIMIT, self.get(r.MAX_TORQUE))
        if self._memory[r.OPERATING_MODE.address] != self._mode:
            self._change_mode()
        if r.TORQUE_ENABLE.address in written:
            self._torque_written()
        if r.GOAL_POSITION.address in written:
            self._goal_written()
        self._refresh()
        command = r.COMMAND.get(self._mode)
        if command and command.address in written and self._latched and not self._pushes_into_load():
            self._release()

    def register_write(self, address: int, data: bytes) -> None:
        """Keep a write until ``action``."""
        self._registered = (address, data)

    def action(self) -> None:
        """Do the write that was kept, if any."""
        if self._registered is not None:
            address, data = self._registered
            self._registered = None
            self.write(address, data)

    def factory_reset(self) -> None:
        """Instruction 0x06: EPROM as the servo left the factory, the id excepted, and a new start."""
        servo_id = self.id
        self._write_factory_values()
        self._put(r.ID, servo_id)
        self._stored[: r.RAM_START] = self._memory[: r.RAM_START]
        self.power_cycle()

    def calibrate_offset(self, position: int | None) -> None:
        """Instruction 0x0B: the joint is at ``position`` (the middle of the turn if None) from now on.

        The homing offset that follows is kept in EPROM, whatever ``LOCK`` is.
        """
        self._center(r.COUNTS_PER_TURN // 2 if position is None else position)
        self._store(r.HOMING_OFFSET)
        self._refresh()

    # -- the joint side ----------------------------------------------------------------------------------------

    @property
    def driving(self) -> bool:
        """Whether the motor pulls towards ``target``."""
        return self._driving and not self.errors & self._unloading & ~ErrorBits.OVERLOAD

    @property
    def torque_fraction(self) -> float:
        """Highest torque as a fraction of the motor's; in PWM mode the torque itself, less what speed takes from it."""
        limit = min(self._torque_limit, abs(self._pwm)) if self._mode == r.OperatingMode.PWM else self._torque_limit
        if self._latched & self._unloading & ErrorBits.OVERLOAD:
            return min(limit, self._protective_torque)
        return limit

    @property
    def target(self) -> float:
        """Angle (rad) that the position loop is pulling towards."""
        return self._target

    @property
    def current(self) -> float:
        """Motor current in A."""
        return abs(self._torque) / ACTUATOR.torque_limit * STALL_CURRENT

    def update(self, angle: float, velocity: float, torque: float, dt: float) -> None:
        """Take in the joint's state (rad, rad/s, N·m) and let ``dt`` seconds pass."""
        self._angle, self._velocity, self._torque = angle, velocity, torque
        if not (self._keeps_goal or self._driving):
            self._hold_present_position()
        if self._mode == r.OperatingMode.VELOCITY:
            self._turn(dt)
        elif self._mode == r.OperatingMode.PWM:
            # Beyond the motor's reach, so that it pulls as hard as ``torque_fraction`` lets it.
            self._target = angle + math.copysign(2.0 * _FREE_LEAD, self._pwm)
        else:
            self._follow_profile(dt)
        load = abs(torque) / ACTUATOR.torque_limit
        settled = AMBIENT_TEMPERATURE + STALL_TEMPERATURE_RISE * load * load
        self.temperature += (settled - self.temperature) * dt / THERMAL_TIME_CONSTANT
        self._watch_load(load, dt)

    def place(self, angle: float) -> None:
        """The joint was put at ``angle`` by hand: forget the motion towards the old goal."""
        self._angle = angle
        self._velocity = self._torque = 0.0
        self._hold_present_position()

    # -- inside ------------------------------------------------------------------------------------------------

    def _put(self, register: Register, value: int) -> None:
        self._memory[register.address : register.address + register.size] = r.encode(register, value)

    def _store(self, register: Register) -> None:
        """Keep a register of the EPROM through power cycles."""
        place = slice(register.address, register.address + register.size)
        self._stored[place] = self._memory[place]

    def _write_factory_values(self) -> None:
        self._memory[:] = bytes(r.TABLE_SIZE)
        for register, value in r.FACTORY.items():
            self._put(register, value)

    def _position(self) -> int:
        """Present position in counts: the encoder less the homing offset, within one turn."""
        encoder = round(self.encoder_zero + self._angle / RADIANS_PER_COUNT)
        return (encoder - r.decode(r.HOMING_OFFSET, self._memory)) % r.COUNTS_PER_TURN

    def _measure(self) -> None:
        """Bring the measured registers up to date."""
        speed = round(self._velocity / RADIANS_PER_COUNT)
        self._put(r.PRESENT_POSITION, self._position())
        self._put(r.PRESENT_VELOCITY, speed)
        self._put(r.PRESENT_LOAD, round(self._torque / ACTUATOR.torque_limit * 1000))
        self._put(r.PRESENT_VOLTAGE, round(self.supply_voltage / r.VOLTAGE_UNIT))
        self._put(r.PRESENT_TEMPERATURE, round(self.temperature))
        self._put(r.STATUS, self.errors)
        self._put(r.MOVING, abs(speed) > self._memory[r.MOVING_THRESHOLD.address])
        self._put(r.PRESENT_CURRENT, round(self.current / r.CURRENT_UNIT))

    def _hold_present_position(self) -> None:
        """Make the present position the goal."""
        self._put(r.GOAL_POSITION, self._position())
        self._goal = self._target = self._angle
        self._speed = 0.0

    def _torque_written(self) -> None:
        """A write to TORQUE_ENABLE centers the servo or switches it, and ends a protection."""
        if self._memory[r.TORQUE_ENABLE.address] == CENTER_COMMAND:
            self._put(r.TORQUE_ENABLE, 0)
            self._center(r.COUNTS_PER_TURN // 2)
        self._target, self._speed = self._angle, 0.0
        if not self._keeps_goal:
            self._hold_present_position()
        self._release()

    @property
    def _keeps_goal(self) -> bool:
        """Whether there is a goal to go to when the torque comes back: modes without places have none."""
        return self._has_goal and self._mode == r.OperatingMode.POSITION

    def _center(self, position: int) -> None:
        """Choose the homing offset with which the joint is at ``position``."""
        half = r.COUNTS_PER_TURN // 2
        encoder = self._position() + r.decode(r.HOMING_OFFSET, self._memory)
        self._put(r.HOMING_OFFSET, (encoder - position + half) % r.COUNTS_PER_TURN - half)

    def _change_mode(self) -> None:
        """Another operating mode begins where the joint is, at rest."""
        self._mode = self._memory[r.OPERATING_MODE.address]
        self._has_goal = False
        self._hold_present_position()

    def _goal_written(self) -> None:
        """A place to go to, or in step mode a way to go from the last goal."""
        self._has_goal = True
        if self._mode == r.OperatingMode.STEP:
            self._goal += self.get(r.GOAL_POSITION) * RADIANS_PER_COUNT

    def _refresh(self) -> None:
        """Work out what follows from the memory, so that ``update`` need not decode it every time."""
        self._driving = bool(self._memory[r.TORQUE_ENABLE.address]) and self._mode in r.COMMAND
        if self._keeps_goal:
            self._goal = self._goal_angle()
        self._pwm = self.get(r.GOAL_PWM) / 1000.0
        limit = self._memory[r.ACCELERATION.address]
        top = self._memory[r.MAX_ACCELERATION.address]
        self._max_acceleration = (limit if 0 < limit < top else 0) * r.ACCELERATION_UNIT * RADIANS_PER_COUNT
        self._goal_speed = self.get(r.GOAL_VELOCITY) * RADIANS_PER_COUNT
        self._max_speed = abs(self._goal_speed)
        self._torque_limit = min(self.get(r.MAX_TORQUE), self.get(r.TORQUE_LIMIT)) / 1000.0
        self._protective_torque = self.get(r.PROTECTIVE_TORQUE) / 100.0
        self._unloading = self.get(r.UNLOADING_CONDITION)
        self._max_temperature = self.get(r.MAX_TEMPERATURE)
        self._voltage_range = (
            self.get(r.MIN_VOLTAGE) * r.VOLTAGE_UNIT,
            self.get(r.MAX_VOLTAGE) * r.VOLTAGE_UNIT,
        )
        self._overload_level = self.get(r.OVERLOAD_TORQUE) / 100.0
        self._overload_patience = self.get(r.PROTECTION_TIME) * r.TICK_SECONDS
        self._overcurrent_level = self.get(r.PROTECTION_CURRENT) * r.CURRENT_UNIT
        self._overcurrent_patience = self.get(r.OVERCURRENT_TIME) * r.TICK_SECONDS

    def _goal_angle(self) -> float:
        """The goal register as a joint angle (rad), within the position limits, nearest the encoder's zero."""
        goal, low, high = (
            self.get(r.GOAL_POSITION),
            self.get(r.MIN_POSITION),
            self.get(r.MAX_POSITION),
        )
        if low < high:
            goal = min(max(goal, low), high)
        self._put(r.GOAL_POSITION_2, goal)
        counts = goal + self.get(r.HOMING_OFFSET) - self.encoder_zero
        half = r.COUNTS_PER_TURN / 2
        return ((counts + half) % r.COUNTS_PER_TURN - half) * RADIANS_PER_COUNT

    def _follow_profile(self, dt: float) -> None:
        """Move the target towards the goal, at once or within GOAL_VELOCITY and ACCELERATION where they are set."""
        if not (self._max_speed or self._max_acceleration):
            self._target = self._goal
            return
        distance = self._goal - self._target
        speed = self._max_speed or math.inf
        if self._max_acceleration:
            speed = min(
                speed,
                math.sqrt(2.0 * self._max_acceleration * abs(distance)),
                abs(self._speed) + self._max_acceleration * dt,
            )
        step = math.copysign(min(speed * dt, abs(distance)), distance)
        self._target += step
        self._speed = step / dt if dt else 0.0

    def _turn(self, dt: float) -> None:
        """Move the target at GOAL_VELOCITY, reached within ACCELERATION, as far ahead of the joint as has an effect."""
        change = self._goal_speed - self._speed
        if self._max_acceleration:
            change = math.copysign(min(abs(change), self._max_acceleration * dt), change)
        self._speed += change
        lead = _FREE_LEAD * self.torque_fraction
        target = self._target + self._speed * dt
        self._target = min(max(target, self._angle - lead), self._angle + lead)

    def _watch_load(self, load: float, dt: float) -> None:
        """Latch overload and overcurrent when they last longer than the protection times."""
        self._overload_time = self._overload_time + dt if load > self._overload_level else 0.0
        self._overcurrent_time = self._overcurrent_time + dt if self.current > self._overcurrent_level else 0.0
        if self._overload_time > self._overload_patience:
            self._latched |= ErrorBits.OVERLOAD
            self._overload_sign = math.copysign(1.0, self._torque)
        if self._overcurrent_time > self._overcurrent_patience:
            self._latched |= ErrorBits.OVERCURRENT
            self._overload_sign = math.copysign(1.0, self._torque)

    def _pushes_into_load(self) -> bool:
        """Whether the command leads further, by more than a count, to the side of the load that was too much."""
        if self._mode == r.OperatingMode.VELOCITY:
            return self._goal_speed * self._overload_sign > 0.0
        if self._mode == r.OperatingMode.PWM:
            return self._pwm * self._overload_sign > 0.0
        return (self._goal - self._angle) * self._overload_sign > RADIANS_PER_COUNT

    def _release(self) -> None:
        """End a protection: the servo got a new torque command, or a goal against the load."""
        self._latched &= ~_LATCHED
        self._overload_sign = self._overload_time = self._overcurrent_time = 0.0
