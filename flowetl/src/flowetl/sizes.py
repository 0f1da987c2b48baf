"""Limit lines and content of delivered files, so that none fills the memory."""

from pydantic import Field

from flowetl.errors import DataFault
from flowetl.expressions import Strict


class Sizes(Strict):
    """Limit a file's sizes, in bytes; beyond a limit the file is refused.

    ``line``: a line. ``file``: the content. ``ratio``: how many times its size as delivered a compressed file may
    have, once its content is larger than ``free``.
    """

    line: int = Field(default=1_000_000, ge=1000, le=100_000_000)
    file: int = Field(default=1_000_000_000_000, ge=1)
    ratio: int = Field(default=100, ge=1)
    free: int = Field(default=1_000_000_000, ge=0)

    def require(self, name: str, delivered: int, content: int) -> None:
        """Refuse a file of ``delivered`` bytes with ``content`` bytes in it.

        Raises
        ------
        DataFault
            When it is beyond the limits.
        """
        if content > self.file:
            raise DataFault(
                f"{name} holds more than {self.file} bytes: deliver it in parts, or raise format.sizes.file"
            )
        if content > max(self.free, delivered * self.ratio):
            raise DataFault(
                f"{name} unpacks to more than {self.ratio} times its {delivered} bytes, as no file of records does: look "
                "at it; if it is sound, raise format.sizes.ratio"
            )
