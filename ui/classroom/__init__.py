"""The class page: a teacher opens a class and sees what it guesses."""
