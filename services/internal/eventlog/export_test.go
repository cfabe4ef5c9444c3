package eventlog

// CutWire breaks the connection over which a stream is appended to.
func (s *Stream) CutWire() {
	w := s.log.wire(s.name)
	w.close()
	<-w.ended
}
