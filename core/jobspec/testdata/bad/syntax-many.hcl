job "j" {
  a.b = 1
  "quoted" = 2
  x = .5
  y = 0x10
  z = 'single'
}
