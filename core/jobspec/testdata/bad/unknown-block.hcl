job "j" {
  grup "g" {}
  group "g" {
    tsk "t" {}
    task "t" {
      resource {}
      zzz {}
    }
  }
}
