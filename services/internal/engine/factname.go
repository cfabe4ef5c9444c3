package engine

// FactName returns the name of the fact that an event holds, such as authorization_approved; empty where it holds none.
func FactName(event Event) string {
	message := event.ProtoReflect()
	oneof := message.Descriptor().Oneofs().ByName("fact")
	if oneof == nil {
		return ""
	}
	fact := message.WhichOneof(oneof)
	if fact == nil {
		return ""
	}
	return string(fact.Name())
}
