// Follow the change feed with nats.go, from where the last run stopped.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const state = "follow.position"

func main() {
	url, workspace := "nats://127.0.0.1:4222", "default"
	if len(os.Args) > 1 {
		url = os.Args[1]
	}
	if len(os.Args) > 2 {
		workspace = os.Args[2]
	}
	var position uint64
	if text, err := os.ReadFile(state); err == nil {
		position, _ = strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	}
	connection, err := nats.Connect(url)
	if err != nil {
		log.Fatal(err)
	}
	stream, err := jetstream.New(connection)
	if err != nil {
		log.Fatal(err)
	}
	consumer, err := stream.OrderedConsumer(context.Background(), "ANAMNESIS_"+workspace, jetstream.OrderedConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:   position + 1,
	})
	if err != nil {
		log.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		log.Fatal(err)
	}
	for {
		message, err := messages.Next()
		if err != nil {
			log.Fatal(err)
		}
		headers := message.Headers()
		number, err := strconv.ParseUint(headers.Get("ce-sequence"), 10, 64)
		if err != nil || number <= position {
			continue // Seen before: the broker may repeat itself, positions do not.
		}
		fmt.Println(number, headers.Get("ce-type"), headers.Get("ce-subject"), len(message.Data()))
		position = number
		if err := os.WriteFile(state, []byte(strconv.FormatUint(position, 10)), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
