"""Small synthetic copies of the data sets, in their official layouts."""
