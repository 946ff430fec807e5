job "j" {
  meta {
    abs      = abs(-3)
    ceil     = ceil(1.2)
    floor    = floor(1.8)
    log      = log(8, 2)
    max      = max(1, 3, 2)
    min      = min(1, 3, 2)
    parseint = parseint("ff", 16)
    pow      = pow(2, 10)
    signum   = signum(-5)
  }
}
