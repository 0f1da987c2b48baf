"""Nine questions, timed from the submitted specification to the released result, on this engine and on others."""
