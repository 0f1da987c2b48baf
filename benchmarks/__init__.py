"""Time nine questions from specification to released result on several engines."""
