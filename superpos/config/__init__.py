"""What a user may say: keys and their ranges, which values fit together, values of a sweep, words
of messages.
"""
