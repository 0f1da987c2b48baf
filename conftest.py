"""Import the packages before pytest names test modules after their folders.

A test file `flowapi/tests/test_x.py` becomes the module `flowapi.tests.test_x`. If `flowapi` were not
imported yet, pytest would register the bare folder under that name, and nothing could be imported from the
package.
"""

import flowapi  # noqa: F401
import flowauth  # noqa: F401
import flowclient  # noqa: F401
import flowdb  # noqa: F401
import flowetl  # noqa: F401
import flowmachine  # noqa: F401
import flowsettings  # noqa: F401
