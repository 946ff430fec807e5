regions = 1
other   = 2
