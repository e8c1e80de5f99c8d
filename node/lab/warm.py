"""The first thing that the fork server imports: no garbage collection while it imports the rest.

Nothing that is imported becomes garbage; looking for it among a million new objects costs a tenth of the start-up.
A child freezes what it inherits and collects again (`gc.freeze`'s advice in the library reference).
"""

import atexit
import gc

gc.disable()
atexit.register(gc.freeze)  # the same for the server's own end
