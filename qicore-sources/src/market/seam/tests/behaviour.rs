//! What the seam promises, by example.
