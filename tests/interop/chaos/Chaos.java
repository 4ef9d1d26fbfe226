// A client of a chaos run over Kafka's own Java client: sends what standard input says, reads its topic, and says on standard output
// what came of it. Started as a source file: `java -cp 'libs/*' Chaos.java BOOTSTRAP TOPIC PARTITIONS`. See README.md for the lines.

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.*;
import java.util.regex.*;
import java.util.stream.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

public class Chaos {
    static final Pattern ORDER = Pattern.compile("\\{\"send\":(\\d+),\"partition\":(\\d+),\"value\":\"(\\d+)\"\\}");
    // A little of what is there is read again.
    static final long REREAD = 300;

    static synchronized void say(String line) {
        System.out.println(line);
    }

    static String quoted(Object text) {
        return '"' + String.valueOf(text).replaceAll("[\"\\\\\\p{Cntrl}]", " ") + '"';
    }

    public static void main(String[] arguments) throws Exception {
        String bootstrap = arguments[0], topic = arguments[1];
        int partitions = Integer.parseInt(arguments[2]);
        Map<String, Object> common = Map.of("bootstrap.servers", bootstrap, "request.timeout.ms", 4000,
            "socket.connection.setup.timeout.ms", 2000, "reconnect.backoff.max.ms", 1000, "metadata.max.age.ms", 5000);
        Thread reader = new Thread(() -> read(common, topic, partitions));
        reader.setDaemon(true);
        reader.start();
        Map<String, Object> config = new HashMap<>(common);
        // A record that is given up would make the producer begin a new epoch, and send what is under way a second time.
        config.put("delivery.timeout.ms", Integer.MAX_VALUE);
        config.put("max.block.ms", 20000);
        try (var producer = new KafkaProducer<>(config, new ByteArraySerializer(), new StringSerializer());
             var lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
            for (String line; (line = lines.readLine()) != null; ) {
                Matcher order = ORDER.matcher(line);
                if (!order.matches()) throw new IllegalArgumentException(line);
                String id = order.group(1);
                var record = new ProducerRecord<byte[], String>(topic, Integer.parseInt(order.group(2)), null, order.group(3));
                producer.send(record, (sent, error) -> say(error == null
                    ? "{\"sent\":" + id + ",\"offset\":" + sent.offset() + "}"
                    : "{\"unknown\":" + id + ",\"why\":" + quoted(error) + "}"));
            }
        }
    }

    static void read(Map<String, Object> common, String topic, int partitions) {
        Map<String, Object> config = new HashMap<>(common);
        config.put("auto.offset.reset", "none");
        config.put("enable.auto.commit", false);
        config.put("fetch.max.wait.ms", 200);
        config.put("default.api.timeout.ms", 60000);
        try (var consumer = new KafkaConsumer<>(config, new ByteArrayDeserializer(), new StringDeserializer())) {
            var all = IntStream.range(0, partitions).mapToObj(p -> new TopicPartition(topic, p)).toList();
            consumer.assign(all);
            Map<TopicPartition, Long> ends = null;
            while (ends == null) {
                try {
                    ends = consumer.endOffsets(all);
                } catch (org.apache.kafka.common.errors.RetriableException again) {
                    // The cluster may not answer for a while.
                }
            }
            ends.forEach((partition, end) -> consumer.seek(partition, Math.max(0, end - REREAD)));
            while (true) {
                var records = consumer.poll(Duration.ofMillis(500));
                String read = StreamSupport.stream(records.spliterator(), false)
                    .map(r -> "[" + r.partition() + "," + r.offset() + ",\"" + r.value() + "\"]")
                    .collect(Collectors.joining(","));
                if (!read.isEmpty()) say("{\"read\":[" + read + "]}");
            }
        } catch (OffsetOutOfRangeException | NoOffsetForPartitionException gone) {
            say("{\"gone\":0,\"why\":" + quoted(gone) + "}");
        }
    }
}
