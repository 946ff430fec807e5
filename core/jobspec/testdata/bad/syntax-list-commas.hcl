job "j" {
  datacenters = ["a" "b"]
}
