// The program of parcels, the second application of docs/faults.md. `go tool` finds it; tests/harness/parts.py builds it.
module kintsugi.test/parcel

go 1.24.4

tool kintsugi.test/parcel/parcel
