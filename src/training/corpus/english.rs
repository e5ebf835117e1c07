//! English stories. The notation is [`grammar`](super::grammar)'s.

/// Rules by name; `story` is where a story starts.
#[rustfmt::skip]
pub const RULES: &[(&str, &[&str])] = &[
    ("story", &[
        "{lost}", "{found}", "{tree}", "{soup}", "{half}", "{rain}", "{journey}", "{night}", "{seed}", "{quarrel}", "{bird}",
        "{learn}", "{gift}", "{snow}", "{market}", "{letter}", "{way}", "{race}", "{echo}", "{star}", "{song}", "{moon}",
    ]),
    // --- beginnings
    ("opening", &[
        "Once upon a time, there was a {kind} {who} named {hero}. {home}",
        "Once upon a time, a {kind} {who} named {hero} lived {where}. ",
        "Once upon a time, {where}, there lived a {kind} {who}. {His} name was {hero}. ",
        "Long ago, a {kind} {who} named {hero} lived {where}. ",
        "There was once a {who} named {hero}. {home}",
        "{hero} was a {kind} {who}. {home}",
    ]),
    ("kind", &["little", "kind", "brave", "young", "clever", "small"]),
    ("where", &[
        "in a small village", "near the forest", "by the sea", "on a green hill", "by the river",
        "in a little white house", "in a house under an old tree", "behind the school",
    ]),
    ("home", &[
        "{He} lived {where}. ",
        "{He} lived {where} with {his} [{=elder}|family]. ",
        "{He} liked to [sing|run|read|swim|look at the stars]. ",
        "Every day, {he} went to {to outing} to play. ",
        "Everyone [liked|loved] {him}. ",
    ]),
    ("elder", &["mother", "grandmother"]),
    ("day", &[
        "One day,", "One {sky} [morning|afternoon|evening],", "One [spring|summer|autumn] day,", "One morning,",
    ]),
    ("sky", &["sunny", "warm", "windy", "quiet", "cool"]),
    // --- people
    ("comes", &[
        "Then a {who2} named {friend} came by. ",
        "{friend}, a {kind} {who2}, was on the way home. ",
        "Just then, {he} met a {who2} named {friend}. ",
        "{His} friend {friend} heard this and came to help. ",
        "There {he} saw {friend}, {his} best friend. ",
    ]),
    ("meets", &[
        "Then a {who2} named {friend} came by. ",
        "Just then, {he} met a {who2} named {friend}. ",
        "There {he} saw {friend}, {his} best friend. ",
    ]),
    ("why", &[
        "\"What is wrong, {hero}?\" asked {friend}. ",
        "\"Why are you sad?\" asked {friend}. ",
        "\"Can I help you?\" {friend} asked. ",
        "\"Are you all right?\" asked {friend}. ",
    ]),
    ("sad", &[
        "{hero} was very sad. ", "{hero} sat down and [cried|began to cry]. ",
        "{hero} did not know what to do. ", "{hero} felt [sad|tired and sad]. ",
    ]),
    ("thanks", &[
        "\"Thank you, {friend}!\" said {hero}. ",
        "\"You are a good friend,\" said {hero}. ",
        "{hero} was so happy that {he} danced. ",
        "{hero} thanked {friend} again and again. ",
    ]),
    // --- endings
    ("end", &[
        "From that day on, {hero} and {friend} were best friends.",
        "That night, {hero} slept well.",
        "{hero} never forgot that day.",
        "And they were very happy.",
        "The next day, they met again and played together.",
        "It was a good day.",
        "{hero} told {his} [{=elder}|family] all about it.",
        "After that, they helped each other every day.",
    ]),
    ("way home", &[
        "{end}",
        "They laughed all the way home.",
        "{hero} and {friend} walked home together.",
        "When they came home, the stars were out.",
    ]),
    // --- plots
    ("lost", &[
        "{opening}{He} had a {color} {toy}[ and loved it very much|, a gift from {his} grandmother|]. \
         {day} the {toy} was gone. {hero} looked {inside}, but it was not there. \
         [{He} asked {his} {=elder}, but she had not seen it. |]{sad}{comes}{why}\"I cannot find my {toy},\" said {hero}. \
         [\"Don't worry. |\"]{help}\" said {friend}. [They looked and looked. |]\
         At last, {friend} found the {toy} {outside}. {thanks}{way home}",
    ]),
    ("found", &[
        "{opening}{day} {hero} found {a toy} {outside}. It was {color} and very pretty. \
         \"Whose {toy} is this?\" {he} thought. {meets}{friend} looked sad. \
         \"I lost my {color} {toy},\" said {friend}. \"Is this your {toy}?\" asked {hero}. \
         \"Yes! Thank you, {hero}!\" said {friend}. {way home}",
    ]),
    ("help", &["Let's look together,", "We will find it,", "I will help you,"]),
    ("inside", &["under the bed", "behind the door", "in the kitchen", "on the table", "in every room"]),
    ("outside", &["under a big tree", "behind a stone", "in the tall grass", "near the old bridge", "by the gate", "on the road"]),
    ("tree", &[
        "{opening}{day} {he} saw a big {fruit} at the top of a tall tree. {hero} was hungry and wanted to eat it. \
         {He} jumped and jumped, but the tree was too tall. {sad}{comes}{why}\
         \"I want that {fruit}, but I cannot reach it,\" said {hero}. [\"Don't worry. |\"][Stand on my back,\"|Let's shake the tree,\"|I will bring a long stick,\"] said {friend}. \
         Soon the {fruit} [fell down|was in {his} hands]. \
         [They cut it in two and shared it. |{hero} gave half of it to {friend}. ]The {fruit} was very sweet. {way home}",
    ]),
    ("soup", &[
        "{opening}{day} {hero} made a big pot of soup. It smelled [so good|wonderful]. \
         \"This is too much for one,\" {he} thought. {He} opened the door and called {his} friends. \
         {friend}, a {who2}, came first, with {a food}. [\"I love soup,\" said {friend}. |]\
         [They sat at the table and ate. |They ate and talked and laughed. ]\
         \"Soup is better with friends,\" said {hero}. {end}",
    ]),
    ("half", &[
        "{opening}{day} {he} had only {a food} to eat. On the road {he} met a hungry {who2} named {friend}. \
         \"Please give me [some food|something to eat],\" said {friend}. {hero} cut the {food} in two and gave {him2} half. \
         The next day, {friend} came back with a basket of {food2+}. \"These are for you,\" said {friend}. {thanks}{end}",
    ]),
    ("rain", &[
        "{opening}{day} {hero} went to {to outing}. [The sky was blue. |The birds were singing. |]\
         Then dark clouds came, and it began to rain. {hero} had no umbrella. {He} ran and stood under a tree. {meets}\
         [\"Come under my umbrella,\" said {friend}. |\"Take my hand,\" said {friend}. \"My house is near.\" ]\
         {thanks}When the rain stopped, they saw a rainbow in the sky. \
         [\"Look! How beautiful!\" said {hero}. |It was red, yellow, green and blue. |]{way home}",
    ]),
    ("journey", &[
        "{opening}{He} had never seen the sea. {trip}At last they saw the wide blue sea. {end of trip}",
        "{opening}{He} had never seen the snow on the mountain. {trip}At last they stood in the white snow. {end of trip}",
        "{opening}{He} had never seen the big city. {trip}At last they saw the lights of the city. {end of trip}",
    ]),
    ("trip", &[
        "{day} {he} put {a food} in {his} bag and set out. {He} walked over the hill and through the forest. \
         On the bridge {he} met {friend}, a {kind} {who2}. \"Where are you going?\" asked {friend}. \
         \"I am going far away, to see the world,\" said {hero}. \"Come with me!\" So they went on together. \
         [They sang songs on the way. |At night they slept under the stars. |They were tired, but they did not stop. |When they were hungry, they shared the {food}. ]",
    ]),
    ("end of trip", &["\"It is so beautiful,\" said {friend}. {end}", "\"Now we can go home,\" said {hero}. {way home}"]),
    ("night", &[
        "{opening}One night, {hero} could not sleep. [The room was dark. |The wind was loud. ]\
         {He} was afraid. {He} went to {his} {=elder}. \"I am afraid of the [dark|night|wind],\" said {hero}. \
         {His} {=elder} [smiled|took {his} hand] and opened the window. \
         \"Look,\" she said. \"[The moon is up there. It looks|The stars are up there. They look] after you.\" \
         {hero} looked at the sky for a long time. The night was [bright|quiet|quiet and beautiful]. \
         {He} was not afraid any more. Soon {he} was asleep.",
    ]),
    ("seed", &[
        "{opening}{day} {hero} found a small seed {outside}. {He} put it in the ground and gave it water every day. \
         One week went by, but nothing came up. {sad}\
         \"Wait a little longer,\" said {friend}, {his} friend. So {hero} waited. [The sun was warm. |Then it rained. |]\
         One morning, there was a green leaf. [Many days later|In the summer], it was a beautiful [red|blue|yellow|white] flower. \
         \"You were right, {friend},\" said {hero}. \"Good things take time.\" {end}",
    ]),
    ("quarrel", &[
        "{opening}{hero} and {friend} were friends. {day} they both wanted the {color} {toy}. \
         \"It is mine!\" said {hero}. \"No, it is mine!\" said {friend}. They pulled and pulled, and the {toy} fell into the river. \
         [{hero} went home alone. |They did not speak for three days. |They both cried. ]\
         Then {hero} [thought about it|felt sorry]. \"I am sorry, {friend},\" {he} said. \"I am sorry too,\" said {friend}. \
         [They went to the market and found another {toy}. |{friend} found a long stick, and together they got the {toy} out. ]\
         [\"Now it is ours,\" said {hero}. |]{end}",
    ]),
    ("bird", &[
        "{opening}{day} {hero} saw a little bird {outing}. Its wing was hurt and it could not fly. \
         {hero} took the bird home and gave it food and water. [{He} sang to it every night. |{He} made a warm bed for it in a box. |]\
         After many days, the bird was well. {hero} opened the window, and it flew away. \
         [{hero} was a little sad, but {he} was happy too. |\"Goodbye, little bird,\" said {hero}. ]\
         When spring came, the bird came back and sang at {his} window.",
    ]),
    ("learn", &[
        "{opening}{He} wanted to learn to {=skill}. It was not easy. The first time, {he} [did it all wrong|could not do it at all]. \
         [\"It is too hard,\" said {hero}. |{hero} wanted to stop. ]{comes}\
         \"[Try again|Don't give up|Go slowly],\" said {friend}. \"I will [help you|show you|stay with you].\" \
         So {hero} tried every day. After [a week|a month|ten days], {he} could {=skill}! \
         \"[Look at me|Look, {friend}]!\" said {hero}. {friend} was [proud of {him}|very happy]. {end}",
    ]),
    ("skill", &["swim", "dance", "draw", "sing", "read", "ride a horse", "fly a kite", "make cakes"]),
    ("gift", &[
        "{opening}It was the birthday of {his} friend {friend}. {hero} had no money. \"What can I give {him2}?\" {he} thought. \
         {He} took some paper and worked all day. In the evening, {he} had made a little {color} {craft}. \
         {friend} opened the door. \"[{A craft}|It is {a craft}]! This is the best gift of all,\" said {friend}. \"You made it for me!\" {end}",
    ]),
    ("snow", &[
        "{opening}One winter morning, everything was white. \"Snow!\" said {hero}, and {he} ran to find {friend}. \
         Together they made a big snowman. {hero} gave it a {color} hat, and {friend} gave it [two stones for eyes|a long stick]. \
         [They played until it was dark. |Their hands were cold, but they were happy. ]\
         A few days later, the sun came out, and the snowman was gone. [{hero} was sad. |]\
         \"Don't worry,\" said {friend}. \"He will come back next winter.\" {end}",
    ]),
    ("market", &[
        "{opening}{day} {his} {=elder} said, \"Please go to the market and buy {a food} and {a food2}.\" \
         On the way, {hero} said again and again, \"{A food} and {a food2}.\" Then {he} met {friend}, and they played {outing}. \
         At the market, {hero} had forgotten everything. \"What did I come for?\" {he} thought. \
         \"You said {a food} and {a food2},\" said {friend}. {thanks}{way home}",
    ]),
    ("letter", &[
        "{opening}{day} a letter came. It was from {friend}, a {who2} who lived far away. \
         The letter said: \"Dear {hero}, {note} Your friend, {friend}.\" \
         {hero} read it [twice|again and again]. Then {he} wrote back: \"Dear {friend}, {reply} Your friend, {hero}.\" \
         [{He} put a {color} flower in the letter. |]{end of letter}",
    ]),
    ("note", &[
        "it is raining here, and I think of you.", "I have a new {toy}.", "the {fruit+} are sweet this year.", "I can {=skill} now.",
    ]),
    ("reply", &[
        "please come and see me in the [spring|summer|autumn|winter].", "I miss you.", "thank you for your letter.", "I think of you every day.",
    ]),
    ("end of letter", &[
        "At last they met again.", "They wrote to each other for many years.", "Every letter made {him} happy.", "It is good to have a friend.",
    ]),
    ("way", &[
        "{opening}{day} {he} walked too far into the forest. It was getting dark, and {hero} did not know the way home. {sad}{comes}\
         \"Where do you live?\" asked {friend}. \"I live near the [river|lake|school],\" said {hero}. \
         \"I know the way,\" said {friend}. \"[Follow that star|Follow the river|Come with me].\" \
         They walked for a long time. At last {hero} saw a light in a window. {His} {=elder} was waiting at the door. {thanks}{end}",
    ]),
    ("race", &[
        "{opening}{day} there was a race {outing}. {hero} ran very fast, and {friend}, a {who2}, was just behind {him}. \
         Then {friend} fell down. [{hero} heard a cry. |{hero} looked back. ]\"I can win now,\" {he} thought. But {he} stopped and went back. \
         \"Take my hand, {friend},\" said {hero}. They came in last, but everyone [sang|laughed and danced] for them. \
         \"You did not win,\" said {friend}. \"[I won a friend|A friend is better than that],\" said {hero}. {end}",
    ]),
    ("echo", &[
        "{opening}{day} {he} stood on the hill and called, \"{=call}\" From far away, somebody called, \"{=call}\" \
         \"{=call2}\" called {hero}. \"{=call2}\" said the voice. {hero} [was afraid and ran home|ran home]. \
         \"Somebody lives in the mountain,\" {he} told {his} {=elder}. {His} {=elder} laughed. \"It is your own voice,\" she said. \
         \"Say something kind, and you will hear something kind.\" So {hero} went back and called, \"{=nice}\" \
         And the mountain said, \"{=nice}\"",
    ]),
    ("call", &["Hello!", "Who are you?", "Is anybody there?"]),
    ("call2", &["Where are you?", "Go away!", "Come here!"]),
    ("nice", &["I like you!", "You are my friend!", "Good night, mountain!", "How are you today?"]),
    ("star", &[
        "{opening}One night, a star fell from the sky. {hero} found it {outside}. It was small and bright. \
         \"Give me a wish, little star,\" said {hero}. \"I want {wish}.\" \"I cannot do that,\" said the star. \"I am only lost. I want to go home.\" \
         {hero} called {friend}, who could [fly a kite|climb very well]. They [put the star on the kite|went up the tallest tree together]. \
         Up it went, and the star was home. Now it smiles at {hero} every night.",
    ]),
    ("wish", &["a {color} {toy}", "a hundred {food+}", "a house by the sea", "a horse"]),
    ("song", &[
        "{opening}{day} {he} made a song. It went: \"{=line}\" {hero} sang it all day long. \
         {friend}, a {who2}, heard it and sang it too: \"{=line}\" Soon everybody sang, \"{=line}\" \
         \"Who made this song?\" asked {friend}. \"I did,\" said {hero}[, and {his} face was red|]. {end}",
    ]),
    ("line", &[
        "The {color} [bird|boat|kite] is [far away|in the sky|on its way], and I [sing|wait|dance] [all day|with the rain|for you].",
        "[Sun|Rain|Moon] in the morning, [stars|wind|snow] in the night, [come and see|come and sing|come and play] with me.",
    ]),
    ("moon", &[
        "{opening}One night, {hero} looked into the lake and saw the moon. \"The moon fell into the water!\" said {hero}. \
         {He} ran to {friend}. \"Quick, bring {something}! We must help the moon.\" They worked for a long time, but they could not get it out. \
         {sad}Then {friend} looked up and laughed. \"Look, {hero}! The moon is in the sky.\" [\"It is home again,\" said {hero}. |They both laughed. |]{way home}",
    ]),
    ("something", &["a basket", "a long stick", "a big box", "a bag"]),
    // --- something said, to be said again
    ("remark", &[
        "The {color} {toy} is {place}.", "{remark food}", "I saw {a animal} {place}.", "The {animal} is {feeling}.",
        "We will meet {place} [tomorrow|tonight|in the morning].", "Please give the {toy} to my [mother|brother|friend].",
        "There are [two|three|four|five] {animal+} {place}.",
    ]),
    ("remark food", &["I want {a food} and {a food2}.", "The {food} is for my [mother|brother|friend]."]),
    ("feeling", &["happy", "sad", "tired", "hungry", "asleep", "very clever"]),
];
