"""Build subscribers: homes, workplaces, contacts and flight."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from flowdb.synthetic.country import Country
from flowdb.synthetic.draws import Floats, Integers, apportion, generator, matrix_draw
from flowdb.synthetic.network import Device, Network
from flowdb.synthetic.text import digits, text

WORKERS = 0.6
CORE_ATTRACTION = 6.0
# Nearly everybody leaves a stricken district; never more than a few dozen stay.
STAY = 0.01
MOST_STAYING = 6
RETURN = 0.4
DAYS_AWAY = 14
# From then on, the chance of each day that those who return do so.
RETURN_CHANCE = 0.25
NEVER = np.iinfo(np.int32).max
MEAN_CONTACTS = 12
MOST_CONTACTS = 200
COMMUNITY = 0.65


@dataclass(frozen=True)
class Contacts:
    """Hold mutual contacts.

    Subscriber s knows `others[start[s]:start[s + 1]]`, closest first.
    """

    start: Integers
    others: NDArray[np.int32]


@dataclass(frozen=True)
class People:
    """Hold one entry per subscriber.

    Cells are indexes into the network; a workplace of -1 means none. Days are ordinals.
    """

    msisdn: NDArray[np.bytes_]
    imsi: NDArray[np.bytes_]
    imei: NDArray[np.bytes_]
    device: Integers
    home: NDArray[np.int32]
    work: NDArray[np.int32]
    work_start: NDArray[np.int32]
    work_end: NDArray[np.int32]
    haunts: NDArray[np.int32]
    travel: Floats
    activity: Floats
    uses_data: Floats
    destination: NDArray[np.int32]
    left: NDArray[np.int32]
    returned: NDArray[np.int32]
    contacts: Contacts
    strangers: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.msisdn)

    def away(self, day: date) -> NDArray[np.bool_]:
        """Return who lives at the destination instead of at home on this day."""
        ordinal = day.toordinal()
        return (self.left <= ordinal) & (ordinal < self.returned)


def build_people(
    country: Country,
    network: Network,
    devices: list[Device],
    subscribers: int,
    disaster: date | None,
    seed: int,
) -> People:
    random = generator(seed, 3)
    distances = country.distances
    population = country.population
    quota = apportion(subscribers, population)
    # Neighbours have adjacent indexes, so communities are ranges of indexes.
    home_district = np.repeat(np.arange(len(quota)), quota)
    home = network.cells_in(home_district, random)
    order = np.lexsort((home, home_district))
    home = home[order]

    pull = np.where(np.arange(len(population)) == country.core, CORE_ATTRACTION, 1.0)
    commute = matrix_draw(population * pull * np.exp(-distances / 25))
    work_district = commute.draw(home_district, random) % len(population)
    works = random.random(subscribers) < WORKERS
    work = np.where(works, network.cells_in(work_district, random), np.int32(-1)).astype(np.int32)

    roam = matrix_draw(population * (1 + distances / 20) ** -2.0)
    haunt_districts = [home_district, home_district, roam.draw(home_district, random) % len(population)]
    haunts = np.column_stack([network.cells_in(district, random) for district in haunt_districts])

    # A few models are common, most are rare.
    popularity = 1 / (np.arange(len(devices)) + 3.0)
    device = np.searchsorted(np.cumsum(popularity / popularity.sum()), random.random(subscribers))
    device = np.minimum(device, len(devices) - 1)
    data_use = np.array(
        [{"Smart": 1.0, "Feature": 0.35, "Basic": 0.0}[model.handset_type] for model in devices]
    )
    uses_data = data_use[device] / max(data_use[device].mean(), 1e-9)

    destination, left, returned = _displacement(country, network, home_district, disaster, seed)
    activity = random.lognormal(0, 0.9, subscribers)
    serial = random.permutation(subscribers)
    strangers = max(subscribers // 4, 50)
    return People(
        msisdn=_msisdn(serial, b"97798"),
        imsi=_fixed(serial * 7_654_321 % 10**10, 10, b"42901"),
        imei=_imei(np.array([model.tac for model in devices])[device], serial),
        device=device,
        home=home,
        work=work,
        work_start=(random.normal(8.7, 0.8, subscribers) * 3600).astype(np.int32),
        work_end=(random.normal(17.2, 0.9, subscribers) * 3600).astype(np.int32),
        haunts=haunts.astype(np.int32),
        travel=random.beta(1.2, 6.0, subscribers),
        activity=activity / activity.mean(),
        uses_data=uses_data,
        destination=destination,
        left=left,
        returned=returned,
        contacts=_contacts(subscribers, seed),
        strangers=np.concatenate(
            [
                _msisdn(np.arange(strangers), b"97797"),
                _fixed(np.arange(strangers // 10 + 1) * 91_291_873 % 10**10, 10, b"91"),
            ]
        ),
    )


def _displacement(
    country: Country, network: Network, home_district: Integers, disaster: date | None, seed: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Return destination cell (-1: none), first day away and first day back.

    Days are ordinals.
    """
    subscribers = len(home_district)
    destination = np.full(subscribers, -1, dtype=np.int32)
    left = np.full(subscribers, NEVER, dtype=np.int32)
    returned = np.full(subscribers, NEVER, dtype=np.int32)
    if disaster is None:
        return destination, left, returned
    random = generator(seed, 4)
    struck = np.isin(home_district, country.disaster)
    leaves = struck & (random.random(subscribers) >= STAY)
    for district in country.disaster:
        staying = np.flatnonzero((home_district == district) & ~leaves)
        leaves[staying[MOST_STAYING:]] = True

    distances = country.distances
    refuge = country.population**0.9 * np.exp(-distances / 400)
    refuge[:, country.disaster] = 0
    towards = matrix_draw(refuge).draw(home_district, random) % len(country.population)
    destination[leaves] = network.cells_in(towards, random)[leaves]
    first_day = disaster.toordinal() + random.choice(3, subscribers, p=(0.8, 0.15, 0.05))
    left[leaves] = first_day[leaves]
    back = leaves & (random.random(subscribers) < RETURN)
    returned[back] = (disaster.toordinal() + DAYS_AWAY + random.geometric(RETURN_CHANCE, subscribers))[back]
    return destination, left, returned


def _contacts(subscribers: int, seed: int) -> Contacts:
    """Draw mutual ties: mostly within the community, the rest to popular people.

    A community is a short way along the index.
    """
    random = generator(seed, 5)
    wanted = np.minimum(
        1 + random.lognormal(np.log(MEAN_CONTACTS / 2) - 0.5, 1.0, subscribers), MOST_CONTACTS / 2
    )
    first = np.repeat(np.arange(subscribers, dtype=np.int64), wanted.astype(np.int64))
    near = first + np.rint(random.laplace(0, 15, len(first))).astype(np.int64)
    popular = np.searchsorted(np.cumsum(wanted) / wanted.sum(), random.random(len(first)))
    second = np.where(random.random(len(first)) < COMMUNITY, near, popular) % subscribers
    second = np.where(second == first, (first + 1) % subscribers, second)
    low, high = np.minimum(first, second), np.maximum(first, second)
    ties = np.sort(low * subscribers + high)
    ties = ties[np.diff(ties, prepend=-1) > 0]
    low, high = ties // subscribers, ties % subscribers
    closeness = random.integers(2**31, size=len(ties))
    one, other = np.concatenate([low, high]), np.concatenate([high, low])
    # Sorting by one combined number is several times faster than sorting by two columns.
    order = np.argsort(one << 31 | np.concatenate([closeness, closeness]), kind="stable")
    start = np.searchsorted(one[order], np.arange(subscribers + 1))
    return Contacts(start.astype(np.int64), other[order].astype(np.int32))


def _fixed(numbers: Integers, width: int, prefix: bytes) -> NDArray[np.bytes_]:
    start = np.broadcast_to(np.frombuffer(prefix, dtype=np.uint8), (len(numbers), len(prefix)))
    return text(np.concatenate([start, digits(numbers, width)], axis=1))


def _msisdn(serial: Integers, prefix: bytes) -> NDArray[np.bytes_]:
    """Return numbers with eight scattered digits behind the prefix.

    Multiplying by a unit modulo 10^8 keeps the digits distinct.
    """
    return _fixed((serial * 37_194_713 + 11_111_111) % 10**8, 8, prefix)


def _imei(tacs: Integers, serial: Integers) -> NDArray[np.bytes_]:
    """Return type allocation code, six digits of serial number, Luhn's check digit."""
    body = tacs * 10**6 + serial * 387_421 % 10**6
    total = np.zeros(len(body), dtype=np.int64)
    rest = body.copy()
    for place in range(14):
        digit = rest % 10
        doubled = digit * 2
        total += np.where(place % 2 == 0, doubled // 10 + doubled % 10, digit)
        rest //= 10
    return _fixed(body * 10 + (-total) % 10, 15, b"")
