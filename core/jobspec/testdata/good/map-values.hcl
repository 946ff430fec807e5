job "j" {
  meta {
    t    = true
    half = 1.50
    big  = 1e10
    oct  = 07
    one  = 1.0
    neg  = -3
    dash-key = "x"
    Case = "x"
    case = "y"
  }
}
