job "j" {
  datacenters {
    a = 1
  }
  group "g" {
    count {}
  }
}
